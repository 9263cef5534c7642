package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds of how deep the expressions of a file may be. The parser calls itself for each level of brackets and for each
// operator, and a Go program that runs out of stack can't be saved.
const (
	maxDepth     = 200
	maxOperators = 10_000 // in the whole file
)

var (
	opening = []hclsyntax.TokenType{
		hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
		hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl,
	}
	closing = []hclsyntax.TokenType{
		hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
		hclsyntax.TokenTemplateSeqEnd,
	}
	operators = []hclsyntax.TokenType{
		hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
		hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenDot, hclsyntax.TokenDoubleColon,
	}
)

// tooDeep reports where a file exceeds a bound, and which one; "" for none.
func tooDeep(text []byte, name string) (hcl.Range, string) {
	tokens, _ := hclsyntax.LexConfig(text, name, hcl.InitialPos)
	depth, count := 0, 0
	for _, token := range tokens {
		switch {
		case slices.Contains(opening, token.Type):
			depth++
		case slices.Contains(closing, token.Type):
			depth--
		case slices.Contains(operators, token.Type):
			count++
		}
		if depth > maxDepth {
			return token.Range, fmt.Sprintf("Brackets and braces may be nested %d deep.", maxDepth)
		}
		if count > maxOperators {
			return token.Range, fmt.Sprintf("A file may have %d operators.", maxOperators)
		}
	}
	return hcl.Range{}, ""
}
