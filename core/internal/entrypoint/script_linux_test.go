package entrypoint

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// result is what a shell printed, both streams in one, and its exit code.
type result struct {
	out  string
	code int
}

// runShell runs a shell as the entrypoint does, but with both streams in one pipe.
func runShell(t *testing.T, how invocation) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), how.args[0], how.args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C"}
	cmd.Dir = t.TempDir()
	if how.file != "" {
		f, err := memoryFile(how.file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f) // descriptor 3
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{string(bytes.ReplaceAll(out, []byte(cmd.Dir), []byte("DIR"))), cmd.ProcessState.ExitCode()}
}

// shells returns the shells under test that this machine has; there has to be one of each kind.
func shells(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"/bin/sh", "dash", "bash"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Logf("NOT TESTED with %s: this machine has none", name)
			continue
		}
		found = append(found, path)
	}
	if len(found) == 0 {
		t.Fatal("this machine has no shell to test with")
	}
	return found
}

var scripts = []struct {
	name     string
	commands []string
}{
	{"nothing", nil},
	{"empty entries", []string{"", "echo a", "", "echo b"}},
	{"trailing semicolon", []string{"echo a;", "echo b"}},
	{"trailing ampersand", []string{"{ :; } 2>/dev/null &", "wait"}},
	{"trailing newline", []string{"echo a\n", "echo b\n"}},
	{"here-document over entries", []string{"cat <<X", "in it", "X", "echo after"}},
	{"here-document with no end", []string{"cat <<X", "in it"}},
	{"comment first", []string{"# comment", "echo a"}},
	{"quotes", []string{`echo 'a "b" $c' "d 'e'"`, "x='two\nlines'", `echo "$x"`}},
	{"parameters", []string{`echo "$0" $# "$*"`, "set -- a b", `echo $# "$@"`}},
	{"line number", []string{"echo $LINENO", "", "echo $LINENO"}},
	{"carries over", []string{"cd /", "export A=1", "f() { echo $A $PWD; }", "f"}},
	{"first failure ends", []string{"echo a", "false", "echo b"}},
	{"failure within an entry", []string{"echo a; false; echo b", "echo c"}},
	{"failure that is handled", []string{"false || echo handled", "if false; then :; fi", "! true", "echo b"}},
	{"exit", []string{"exit 7", "echo b"}},
	{"exit trap", []string{"trap 'echo bye $?' EXIT", "exit 3"}},
	{"command not found", []string{"echo a", "nosuch"}},
	{"error of a builtin", []string{"cd /nosuch || true", "echo b"}},
	{"error in a function", []string{"f() {", " nosuch", "}", "f || true", "echo b"}},
	{"unset variable", []string{`echo "${NONE?is not set}"`, "echo b"}},
	{"syntax error at first", []string{")"}},
	{"syntax error later", []string{"echo a", "if then", "echo b"}},
	{"end missing", []string{"echo a", "{ echo b"}},
	{"quote missing", []string{"echo a", `echo "b`}},
	{"loops and subshells", []string{"for i in 1 2; do", "  echo $i", "done", "( echo sub; exit 4 ) || echo $?"}},
	{"substitutions", []string{`echo "$(echo a)" $((1 + 2))`}},
	{"standard input is empty", []string{"read x || echo empty", "cat"}},
	{"sources a file", []string{"echo 'echo in file; nosuch || true' > lib.sh", ". ./lib.sh"}},
	{"killed", []string{"(set +x; kill -KILL $$)", "echo not reached"}},
	{"no more descriptors", []string{"ls /proc/self/fd"}},
	{"alias", []string{"alias runner_x='echo no'", "type runner_script || echo none"}},
}

// bashNames are the ways in which bash says at the start of an error message where it is. A long script makes it name
// its file instead of itself, of "-c", or, in a function, of the "environment".
var bashNames = regexp.MustCompile(`(?m)^(\S*/bash(: -c)?|environment|/dev/fd/3): `)

// TestLongScriptIsLikeAShortOne compares what the shells print for a script that fits an argument and for one that does not.
// The only differences allowed are those told at invokeLong.
func TestLongScriptIsLikeAShortOne(t *testing.T) {
	for _, shell := range shells(t) {
		for _, trace := range []bool{true, false} {
			for _, s := range scripts {
				name := strings.Join([]string{filepath.Base(shell), map[bool]string{true: "traced", false: "quiet"}[trace], s.name}, "/")
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					short := runShell(t, invoke(shell, s.commands, trace))
					set := map[bool]string{true: "set -xv", false: "set +xv"}[trace]
					long := runShell(t, invokeLong(shell, set, strings.Join(s.commands, "\n")))
					if filepath.Base(shell) == "bash" {
						short.out = bashNames.ReplaceAllString(short.out, "bash: ")
						long.out = bashNames.ReplaceAllString(long.out, "bash: ")
					}
					if short != long {
						t.Errorf("the short one ends with %d:\n%s\nthe long one with %d:\n%s", short.code, short.out, long.code, long.out)
					}
				})
			}
		}
	}
}

// TestRealLongScript runs one of 400 KiB, which is more than three arguments hold.
func TestRealLongScript(t *testing.T) {
	commands := []string{"echo first $# $LINENO"}
	size := 0
	for size < 400<<10 {
		c := ": " + strings.Repeat("ä", 500)
		commands, size = append(commands, c), size+len(c)
	}
	commands = append(commands, "echo last $LINENO")
	for _, shell := range shells(t) {
		got := runShell(t, invoke(shell, commands, false))
		want := result{"first 0 2\nlast " + strconv.Itoa(len(commands)+1) + "\n", 0}
		// dash as Debian builds it has no LINENO; then both have none.
		if runShell(t, invoke(shell, []string{"echo $LINENO"}, false)).out == "\n" {
			want.out = "first 0\nlast\n"
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", shell, got, want)
		}
	}
}

func TestTraceOfShortScript(t *testing.T) {
	commands := []string{"echo a", "echo $((1+1))"}
	for shell, want := range map[string]string{
		"dash": "+ echo a\na\n+ echo 2\n2\n",
		"bash": "echo a\n+ echo a\na\necho $((1+1))\n+ echo 2\n2\n",
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("NOT TESTED with %s: this machine has none", shell)
			continue
		}
		if got := runShell(t, invoke(path, commands, true)); got.out != want {
			t.Errorf("%s prints\n%s\nwant\n%s", shell, got.out, want)
		}
	}
}

func TestScriptFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script")
	want := []string{"echo <&>", "", "a\nb", "ü"}
	if err := WriteScript(path, want); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the script has mode %v, %v", info.Mode(), err)
	}
	got, err := readScript(path)
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, %v", got, err)
	}
	if err := WriteScript(path, []string{"a\x00b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := readScript(path); err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("a NUL byte: %v", err)
	}
}
