package tool_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/tool"
)

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"opslevel-runner": true, "a": true, "A.b_c-1": true, strings.Repeat("a", 64): true, "runner-helper.new": true,
		"runner-helper": false, "spool": false, "": false, ".": false, "..": false, ".hidden": false, "-f": false,
		"a/b": false, "../x": false, "a b": false, "a=b": false, "a\n": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		if got := tool.WrongName(name); (got == "") != good {
			t.Errorf("%q: %q", name, got)
		}
	}
	if got := tool.WrongProgram("runner-helper"); got != "" {
		t.Errorf("a program of a name that is taken at /mount: %q", got)
	}
}

// TestArgsAreUnderstood: what core says is what the helper hears.
func TestArgsAreUnderstood(t *testing.T) {
	want := tool.List(map[string]string{"b": "x", "a": "y.z", "c": "x"})
	var got tool.Flag
	args := tool.Args(want)
	for i := 0; i < len(args); i += 2 {
		if err := got.Set(args[i+1]); args[i] != "-tool" || err != nil {
			t.Errorf("%q: %v", args[i:i+2], err)
		}
	}
	if d := cmp.Diff(want, []tool.Tool(got)); d != "" || got[0].Name != "a" {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, wrong := range []string{"", "a", "a=", "=b", "runner-helper=b", "a=b=c", "a=../b"} {
		if err := got.Set(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"there", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tool.Missing(dir, []tool.Tool{{"a", "there"}, {"b", "other"}}); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct{ dir, program, want string }{
		"no such program": {dir, "not-there", `the tool "a" is to be the program "not-there", and there is none of that name in ` + dir + "; there is: folder, other, there"},
		"a folder":        {dir, "folder", `program "folder"`},
		"no folder":       {filepath.Join(dir, "none"), "there", "there is no program at all"},
	} {
		if err := tool.Missing(test.dir, []tool.Tool{{"a", test.program}}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
