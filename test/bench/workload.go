package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const (
	// lineBytes is the length of each line with its LF.
	lineBytes = 100
	// secretEvery and directiveEvery say how often a line holds a secret, or is a directive.
	secretEvery    = 100
	directiveEvery = 1000
	secretCount    = 10
	// stamp is the time of all lines, and prefix what processor-prefix makes of it.
	stamp  = "2026-01-02T03:04:05Z"
	prefix = stamp + " [1] "
	mask   = "**********"
)

// workload is the files of a run.
type workload struct {
	dir                          string
	lines                        int
	config, job, log, short, sed string
	// plugins is the folder that the plugins are in, emit a program for jobs.
	plugins, emit string
	secrets       []string
}

// newWorkload writes the files. They are the same in each run.
func newWorkload(ctx context.Context, dir string, megabytes int) (*workload, error) {
	w := &workload{dir: dir, lines: megabytes * 1_000_000 / lineBytes, plugins: filepath.Join(dir, "plugins"), emit: filepath.Join(dir, "emit")}
	random := rand.New(rand.NewPCG(1, 2))
	for range secretCount {
		w.secrets = append(w.secrets, word(random, 24))
	}
	if err := installPlugins(ctx, w); err != nil {
		return nil, err
	}
	w.log = filepath.Join(dir, "build.log")
	if err := w.writeLog(random); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		path       *string
		name, text string
	}{
		{&w.config, "runner.hcl", fmt.Sprintf("runner {\n  plugin_dir = %q\n}\npipeline \"default\" {\n"+
			"  processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"prefix\" {}\n}\n", w.plugins)},
		{&w.job, "job.yaml", w.jobFile()},
		{&w.short, "short.log", "one line\n"},
		{&w.sed, "mask.sed", "s/" + strings.Join(w.secrets, "/"+mask+"/g\ns/") + "/" + mask + "/g\n"},
	} {
		*f.path = filepath.Join(dir, f.name)
		if err := os.WriteFile(*f.path, []byte(f.text), 0o600); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *workload) jobFile() string {
	var b strings.Builder
	b.WriteString("id: \"1\"\nimage: none\ncommands: [\"true\"]\nvariables:\n")
	for i, s := range w.secrets {
		fmt.Fprintf(&b, "  - key: SECRET_%d\n    value: %q\n    sensitive: true\n", i, s)
	}
	return b.String()
}

// writeLog writes lines as a build prints them.
func (w *workload) writeLog(random *rand.Rand) error {
	f, err := os.Create(w.log)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	for i := range w.lines {
		text := w.line(random, i)
		if n := lineBytes - 1 - len(text); n > 0 {
			text += strings.Repeat(".", n)
		}
		_, _ = out.WriteString(text[:lineBytes-1] + "\n") // Flush returns the first error
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func (w *workload) line(random *rand.Rand, i int) string {
	n := random.IntN(1000)
	switch {
	case i%directiveEvery == directiveEvery-1:
		return fmt.Sprintf("::set-outcome-var key-%d=", n%10)
	case i%secretEvery == secretEvery-1:
		return fmt.Sprintf("#%d fetch https://ci:%s@git.example.com/%s", n, w.secrets[n%secretCount], word(random, 12))
	}
	switch i % 4 {
	case 0:
		return fmt.Sprintf("#%d [build %d/9] RUN go build -o /out/%s ./cmd/%s", n%40, n%9, word(random, 8), word(random, 8))
	case 1:
		return fmt.Sprintf("ok  \tgithub.com/example/%s/%s\t%d.%03ds\tcoverage: %d%% of statements", word(random, 7), word(random, 9), n%60, n, n%100)
	case 2:
		return fmt.Sprintf("   Compiling %s v%d.%d.%d (registry+https://github.com/example/index)", word(random, 10), n%9, n%70, n%13)
	default:
		return fmt.Sprintf("npm warn deprecated %s@%d.%d.%d: this version is no longer supported, use %s", word(random, 9), n%9, n%70, n%13, word(random, 9))
	}
}

// word returns n random letters and digits.
func word(random *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}
