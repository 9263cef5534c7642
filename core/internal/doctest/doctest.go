// Package doctest keeps those parts of the documentation that are made from code as the code has them. It is for tests.
package doctest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// Compare compares a part of a file with what it is to be, or writes it. The part stands between two lines: a comment
// "<!-- begin NAME ... -->" and "<!-- end NAME -->".
func Compare(t *testing.T, path, name, want string, update bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, got, after, err := cut(string(data), name)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if update {
		if err := os.WriteFile(path, []byte(before+want+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the part %q is not what `go test -update` in this package makes (-want +got):\n%s", path, name, diff)
	}
}

// Part returns the part of a file of a name; see Compare.
func Part(t *testing.T, path, name string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, part, _, err := cut(string(data), name)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return part
}

// Rights returns those of the Role that is a part of a file, as "verb resource" or "verb group/resource".
func Rights(t *testing.T, path, name string) map[string]bool {
	t.Helper()
	text := strings.TrimSuffix(strings.TrimPrefix(Part(t, path, name), "```yaml\n"), "```\n")
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(text), &role); err != nil {
		t.Fatalf("%s: the part %q: %v", path, name, err)
	}
	rights := map[string]bool{}
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			if group != "" {
				group += "/"
			}
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					rights[verb+" "+group+resource] = true
				}
			}
		}
	}
	return rights
}

func cut(text, name string) (before, part, after string, err error) {
	begin, end := fmt.Sprintf("<!-- begin %s ", name), fmt.Sprintf("<!-- end %s -->", name)
	at := strings.Index(text, begin)
	if at < 0 {
		return "", "", "", fmt.Errorf("there is no line that begins with %q", begin)
	}
	line := strings.IndexByte(text[at:], '\n')
	stop := strings.Index(text, end)
	if line < 0 || stop < at+line+1 {
		return "", "", "", fmt.Errorf("there is no %q after the beginning", end)
	}
	at += line + 1
	return text[:at], text[at:stop], text[stop:], nil
}

// Table makes a table in Markdown.
func Table(head []string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}
