package job

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasonsAreDocumented compares docs/reasons.md with the constants: a row for each reason, and no other.
func TestReasonsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]*)` \\| `([a-z_]+)` \\| [^|]+\\. \\| [^|]+\\. \\|$").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
		if !Outcome(row[2]).Valid() {
			t.Errorf("reason %q has the unknown outcome %q", row[1], row[2])
		}
	}
	reasons := constants(t, "result.go", "Reason")
	slices.Sort(documented)
	slices.Sort(reasons)
	if diff := cmp.Diff(reasons, documented); diff != "" {
		t.Errorf("constants and docs/reasons.md differ (-constants +document):\n%s", diff)
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
