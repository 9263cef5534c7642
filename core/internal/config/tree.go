package config

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// tree is a structured value with the places of its parts: what a check sees of a value of runner.hcl, and of a text in
// YAML, alike.
type tree struct {
	kind treeKind
	at   place
	// scalar is nil for null, else a string, a bool or a json.Number.
	scalar  any
	list    []*tree
	members []member
}

type treeKind int

const (
	treeScalar treeKind = iota
	treeList
	treeObject
)

// member is a key of an object and its value.
type member struct {
	key   string
	at    place
	value *tree
}

// place is where a part of a tree was written: a range of runner.hcl, or a line of a text in YAML.
type place struct {
	rng  hcl.Range
	line int
}

func (t *tree) null() bool { return t.kind == treeScalar && t.scalar == nil }

// member returns the value of a key of an object, nil when there is none.
func (t *tree) member(key string) *tree {
	for _, m := range t.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// tree returns a value with its places in the expression that makes it. What is not written out there has the place of
// what it is a part of.
func (s *source) tree(v cty.Value, expr hclsyntax.Expression) *tree {
	expr = s.written(expr)
	return s.subtree(v, expr, expr.Range())
}

// subtree is tree of a part; its expression is nil when it is not written out.
func (s *source) subtree(v cty.Value, expr hclsyntax.Expression, at hcl.Range) *tree {
	if expr != nil {
		expr = s.written(expr)
		at = expr.Range()
	}
	t := &tree{at: place{rng: at}}
	switch typ := v.Type(); {
	case v.IsNull():
	case typ == cty.String:
		t.scalar = v.AsString()
	case typ == cty.Bool:
		t.scalar = v.True()
	case typ == cty.Number:
		t.scalar = json.Number(numberText(v.AsBigFloat()))
	case typ.IsObjectType() || typ.IsMapType():
		t.kind = treeObject
		entries := s.entries(expr)
		values := v.AsValueMap()
		for _, key := range slices.Sorted(maps.Keys(values)) {
			m := member{key: key, at: t.at}
			entry, ok := entries[key]
			if ok {
				m.at = place{rng: entry.key.Range()}
			}
			m.value = s.subtree(values[key], entry.value, at)
			t.members = append(t.members, m)
		}
	default:
		t.kind = treeList
		var exprs []hcl.Expression
		if expr != nil {
			exprs, _ = hcl.ExprList(expr)
		}
		for i, element := range v.AsValueSlice() {
			var inner hclsyntax.Expression
			if i < len(exprs) {
				inner, _ = exprs[i].(hclsyntax.Expression)
			}
			t.list = append(t.list, s.subtree(element, inner, at))
		}
	}
	return t
}

// entry is a key and a value of an object as they are written.
type entry struct{ key, value hclsyntax.Expression }

// entries returns what is written out of an object, by key.
func (s *source) entries(expr hclsyntax.Expression) map[string]entry {
	out := map[string]entry{}
	if expr == nil {
		return out
	}
	pairs, _ := hcl.ExprMap(expr)
	for _, pair := range pairs {
		key, ok := pair.Key.(hclsyntax.Expression)
		if !ok {
			continue
		}
		value, ok := pair.Value.(hclsyntax.Expression)
		if !ok {
			continue
		}
		v, diags := s.scope.eval(key)
		if diags.HasErrors() || !v.IsKnown() || v.IsNull() {
			continue
		}
		if text, err := convert.Convert(v, cty.String); err == nil {
			out[text.AsString()] = entry{key, value}
		}
	}
	return out
}

// written follows an expression that is nothing but the name of a local, or stands in parentheses, to where its value
// is written out: that is the place to mend.
func (s *source) written(expr hclsyntax.Expression) hclsyntax.Expression {
	for range maxDepth {
		switch e := expr.(type) {
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
		case *hclsyntax.ScopeTraversalExpr:
			name, _, ok := localName(e.Traversal)
			if !ok || len(e.Traversal) != 2 || e.Traversal.RootName() != "local" || s.scope.locals[name] == nil {
				return expr
			}
			expr = s.scope.locals[name].attr.Expr
		default:
			return expr
		}
	}
	return expr
}

// maxPlainExponent bounds, as a power of two, the numbers that are written out digit by digit: nothing that Kubernetes
// counts is larger, and 1e999999 has a million digits.
const maxPlainExponent = 128

// numberText returns a number in JSON's notation.
func numberText(f *big.Float) string {
	if e := f.MantExp(nil); e > maxPlainExponent || e < -maxPlainExponent {
		return f.Text('e', 10)
	}
	return f.Text('f', -1)
}
