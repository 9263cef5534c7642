package kubernetes

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/doctest"
	"github.com/podrunner/runner/core/internal/job"
)

const docsPage = "../../../../docs/kubernetes.md"

// sources parses the package's files, tests left out.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool { //nolint:staticcheck // build tags don't matter here
		return !strings.HasSuffix(f.Name(), "_test.go")
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Values(packages["kubernetes"].Files))
}

// TestKeysAreDocumented compares the table of labels and annotations with the constants.
func TestKeysAreDocumented(t *testing.T) {
	want := map[string]string{}
	for _, short := range shortLabels {
		want[short] = "label"
	}
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			key, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"label", "annotation"} {
				if strings.HasPrefix(spec.Names[0].Name, kind) {
					want[key] = kind
				}
			}
			return true
		})
	}
	got := map[string]string{}
	quoted := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(doctest.Part(t, docsPage, "keys")) {
		cells := strings.Split(line, "|")
		for _, key := range quoted.FindAllStringSubmatch(cells[1], -1) {
			got[key[1]] = strings.TrimSpace(cells[2])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/kubernetes.md has other keys than names.go (-code +page):\n%s", diff)
	}
}

// resources are what calls of the client are about.
var resources = map[string]string{
	"Pods": "pods", "ConfigMaps": "configmaps", "Secrets": "secrets", "Events": "events", "PodDisruptionBudgets": "policy/poddisruptionbudgets", "Leases": "coordination.k8s.io/leases",
}

// calls are the rights that the code makes use of, "resource verb".
func calls(t *testing.T) map[string]bool {
	t.Helper()
	verbs := []string{"Create", "Get", "List", "Watch", "Delete", "Patch", "Update"}
	used := map[string]bool{}
	resourceOf := func(e ast.Expr) string {
		if call, ok := e.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				return resources[s.Sel.Name]
			}
		}
		return ""
	}
	for _, file := range sources(t) {
		for _, d := range file.Decls {
			variables := map[string]string{}
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					if name, ok := n.Lhs[0].(*ast.Ident); ok {
						variables[name.Name] = resourceOf(n.Rhs[0])
					}
				case *ast.CallExpr:
					s, ok := n.Fun.(*ast.SelectorExpr)
					if !ok || !slices.Contains(verbs, s.Sel.Name) {
						return true
					}
					resource := resourceOf(s.X)
					if name, ok := s.X.(*ast.Ident); ok {
						resource = variables[name.Name]
					}
					if resource != "" {
						used[strings.ToLower(s.Sel.Name)+" "+resource] = true
					}
				}
				return true
			})
		}
	}
	return used
}

// TestRoleIsDocumented compares the Role with the calls that the code makes.
func TestRoleIsDocumented(t *testing.T) {
	want := calls(t)
	for _, more := range []string{
		"list pods", "watch pods", // the informer
		"list events",                                     // goes with watch
		"create pods/portforward", "get pods/portforward", // SPDY and WebSocket, which are no calls of the client
	} {
		want[more] = true
	}
	got := doctest.Rights(t, docsPage, "role")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the Role in docs/kubernetes.md is not what the code needs (-code +page):\n%s", diff)
	}
}

// TestReasonsAreDocumented makes the table of those reasons that this package comes to, without those that only commands
// lead to.
func TestReasonsAreDocumented(t *testing.T) {
	used := map[string]bool{}
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "job" && strings.HasPrefix(s.Sel.Name, "Reason") {
					used[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	names := reasonNames(t)
	var rows [][]string
	for _, r := range job.Reasons {
		if used[names[string(r.Reason)]] && r.Reason != job.ReasonExit && r.Reason != job.ReasonInitFailed {
			rows = append(rows, []string{fmt.Sprintf("`%s`", r.Reason), r.Means, r.Hint})
		}
	}
	table := doctest.Table([]string{"Reason", "What it means", "What to do"}, rows)
	doctest.Compare(t, docsPage, "reasons", table, *update)
}

// reasonNames are the names of the constants of package job by their values.
func reasonNames(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../job/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			if value, err := strconv.Unquote(literal.Value); err == nil {
				names[value] = spec.Names[0].Name
			}
		}
		return true
	})
	return names
}
