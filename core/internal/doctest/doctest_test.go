package doctest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository.
const root = "../../.."

// TestContributingTellsOfAllPackages looks for each package of core and of the SDK in docs/contributing.md, and for each
// folder that it names.
func TestContributingTellsOfAllPackages(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/contributing.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9][a-z0-9/]*)`").FindAllStringSubmatch(string(page), -1) {
		named[filepath.Base(m[1])] = true
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil && strings.Contains(m[1], "/") && !strings.HasPrefix(m[1], "build/") {
			t.Errorf("docs/contributing.md names %s, which is not there", m[1])
		}
	}
	for _, dir := range []string{"core/internal", "core/helper", "core/cmd", "sdk"} {
		for _, name := range packages(t, dir) {
			if !named[name] {
				t.Errorf("docs/contributing.md says nothing of the package %s below %s", name, dir)
			}
		}
	}
}

// packages returns the names of the folders below dir that hold Go code which others use.
func packages(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || dir == "sdk" && (d.Name() == "internal" || d.Name() == "proto")):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		if name := filepath.Base(filepath.Dir(path)); strings.HasSuffix(path, ".go") && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: found %q, %v", dir, names, err)
	}
	return names
}
