package job

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/doctest"
)

// TestReasonsAreDocumented compares the table in docs/reasons.md with Reasons, of which it is made.
func TestReasonsAreDocumented(t *testing.T) {
	var rows [][]string
	for _, r := range Reasons {
		rows = append(rows, []string{fmt.Sprintf("`%s`", r.Reason), fmt.Sprintf("`%s`", r.Outcome), r.Means, r.Hint})
	}
	table := doctest.Table([]string{"Reason", "Outcome", "What it means", "What to do"}, rows)
	doctest.Compare(t, "../../../docs/reasons.md", "reasons", table, *update)
}

// TestReasonsAreWhole compares Reasons with the constants.
func TestReasonsAreWhole(t *testing.T) {
	var listed []string
	for _, r := range Reasons {
		listed = append(listed, string(r.Reason))
		if !r.Outcome.Valid() || r.Outcome == Success {
			t.Errorf("reason %q has the outcome %q", r.Reason, r.Outcome)
		}
		for _, text := range []string{r.Means, r.Hint} {
			if !strings.HasSuffix(text, ".") || strings.Contains(text, "|") {
				t.Errorf("reason %q: not sentences that fit a table: %s", r.Reason, text)
			}
		}
	}
	reasons := constants(t, "reason.go", "Reason")
	slices.Sort(listed)
	slices.Sort(reasons)
	if diff := cmp.Diff(reasons, listed); diff != "" {
		t.Errorf("constants and Reasons differ (-constants +Reasons):\n%s", diff)
	}
}

// constants returns the values of the constants of a type in a file, the empty one left out.
func constants(t *testing.T, path, typeName string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
			return true
		}
		for _, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			if !ok {
				t.Fatalf("a %s is not a literal", typeName)
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if text != "" {
				values = append(values, text)
			}
		}
		return true
	})
	return values
}
