package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDocsTellOfAllLogFields looks through core's code for the fields of its log lines, and for each in docs/operations.md.
func TestDocsTellOfAllLogFields(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Log\n")
	if !ok {
		t.Fatal("docs/operations.md has no section on the log")
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			told[name[1]] = true
		}
	}
	fields := logFields(t, "../..")
	if len(fields) < 10 {
		t.Errorf("found %d fields in the code", len(fields))
	}
	for name, at := range fields {
		if !told[name] {
			t.Errorf("%s: the field %s is not in docs/operations.md", at, name)
		}
	}
}

// logFields returns the fields that a tree's code writes to a log, each with a place where it does: the keys behind the
// message of a call such as logger.Info, and those of With.
func logFields(t *testing.T, root string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				for _, key := range logKeys(call) {
					fields[key] = set.Position(call.Pos()).String()
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// logKeys returns the keys of a call, if it is one of a logger.
func logKeys(call *ast.CallExpr) []string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	first := 1
	switch method.Sel.Name {
	case "Trace", "Debug", "Info", "Warn", "Error":
	case "With":
		first = 0
	default:
		return nil
	}
	var keys []string
	for i := first; i+1 < len(call.Args); i += 2 {
		if literal, ok := call.Args[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if key, err := strconv.Unquote(literal.Value); err == nil {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
