package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	unformatted = "runner{\nname=\"x\"\n   concurrency   = 3\n}\n\n# one\n# two\n# three\n# four\n# five\n# six\n# seven\npipeline \"default\" {\nprocessor \"outcome\" {}\n}"
	formatted   = "runner {\n  name        = \"x\"\n  concurrency = 3\n}\n\n# one\n# two\n# three\n# four\n# five\n# six\n# seven\npipeline \"default\" {\n  processor \"outcome\" {}\n}"
)

func TestFmt(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		stdin string
		// left is what the file holds afterwards.
		left string
	}{
		"write":       {[]string{"fmt"}, "", formatted},
		"check":       {[]string{"fmt", "-check"}, "", unformatted},
		"diff":        {[]string{"fmt", "-diff"}, "", formatted},
		"no-write":    {[]string{"fmt", "-write=false"}, "", unformatted},
		"check-diff":  {[]string{"fmt", "-check", "-diff"}, "", unformatted},
		"stdin":       {[]string{"fmt", "-"}, unformatted, unformatted},
		"stdin-diff":  {[]string{"fmt", "-diff", "-"}, unformatted, unformatted},
		"stdin-check": {[]string{"fmt", "-check", "-"}, unformatted, unformatted},
		"stdin-bad":   {[]string{"fmt", "-"}, "runner {", unformatted},
		"missing":     {[]string{"fmt", "none.hcl"}, "", unformatted},
		"folder":      {[]string{"fmt", "plugins"}, "", unformatted},
		"endless":     {[]string{"fmt", "/dev/zero"}, "", unformatted},
		"two-files":   {[]string{"fmt", "bad.hcl", "runner.hcl"}, "", formatted},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, unformatted)
			const bad = "runner {\n  name =\n}\n"
			writeFile(t, "bad.hcl", bad)
			golden(t, "fmt-"+name, core(t, test.stdin, test.args...))
			for path, want := range map[string]string{"runner.hcl": test.left, "bad.hcl": bad} {
				if got, err := os.ReadFile(path); err != nil || string(got) != want {
					t.Errorf("%s is now (%v):\n%s", path, err, got)
				}
			}
			if left, err := filepath.Glob(".core-fmt-*"); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestFmtIsIdempotent formats all configurations that there are twice.
func TestFmtIsIdempotent(t *testing.T) {
	paths, err := filepath.Glob("../internal/config/testdata/*/*.hcl")
	if err != nil || len(paths) < 25 {
		t.Fatalf("found %d files: %v", len(paths), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		once := core(t, string(text), "fmt", "-")
		if once.code != exitSuccess {
			continue
		}
		if twice := core(t, once.stdout, "fmt", "-check", "-"); twice.code != exitSuccess {
			t.Errorf("%s: formatting again changes it", path)
		}
	}
}

func TestFmtKeepsModeAndLinks(t *testing.T) {
	inFolder(t, "")
	writeFile(t, "real.hcl", unformatted)
	if err := os.Chmod("real.hcl", 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.hcl", "link.hcl"); err != nil {
		t.Fatal(err)
	}
	if r := core(t, "", "fmt", "link.hcl"); r.code != exitSuccess || strings.TrimSpace(r.stdout) != "link.hcl" {
		t.Fatalf("got %+v", r)
	}
	link, err := os.Lstat("link.hcl")
	if err != nil || link.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", link, err)
	}
	file, err := os.Stat("real.hcl")
	if err != nil || file.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v", file.Mode(), err)
	}
}

// TestFmtKeepsOwner formats the file of somebody else, as root does.
func TestFmtKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	inFolder(t, unformatted)
	if err := os.Chown("runner.hcl", 4321, 8765); err != nil {
		t.Fatal(err)
	}
	if r := core(t, "", "fmt"); r.code != exitSuccess || r.stdout != "runner.hcl\n" {
		t.Fatalf("got %+v", r)
	}
	info, err := os.Stat("runner.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 4321 || st.Gid != 8765 {
		t.Errorf("the file belongs to %+v", info.Sys())
	}
}
