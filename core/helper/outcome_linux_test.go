package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podrunner/runner/core/internal/entrypoint"
	"github.com/podrunner/runner/core/internal/spool"
)

// startOutcome starts a step with an outcome file.
func startOutcome(t *testing.T, commands []string, flags ...string) *step {
	t.Helper()
	return startStep(t, commands, append([]string{"-outcome", filepath.Join(t.TempDir(), "outcome", "variables")}, flags...)...)
}

func TestOutcomeFile(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 30<<10)
	const tooLarge = "2 [runner] the outcome file (OUTCOME_FILE) is left out: it has 2097153 bytes, and at most 2097152 are read;" +
		" none of its variables is set"
	for _, tt := range []struct {
		name     string
		commands []string
		code     int
		want     []string
	}{
		{"untouched", []string{"echo a"}, 0, []string{"1 a"}},
		{
			"it follows all output",
			[]string{"echo k=v >>$OUTCOME_FILE", "echo a", "printf 'l<<E\n\nE' >>$OUTCOME_FILE"},
			0,
			[]string{"1 a", "@ k=v", "@ l<<E", "@ ", "@ E"},
		},
		{"the commands fail", []string{"echo k=v >$OUTCOME_FILE", "exit 3"}, 3, []string{"@ k=v"}},
		{"the shell is killed", []string{"echo k=v >$OUTCOME_FILE", "kill -9 $$"}, 128 + 9, []string{"@ k=v"}},
		{
			"what outlives the shell has written to it",
			[]string{"(trap 'echo k=v >>$OUTCOME_FILE; exit' TERM; echo ready; sleep 100 & wait) 2>/dev/null &"},
			0,
			[]string{"1 ready", "@ k=v"},
		},
		{"a long line", []string{"printf '" + long + "yy\nz' >$OUTCOME_FILE"}, 0, []string{"@ " + long + "…", "@ yy", "@ z"}},
		{"removed", []string{"rm $OUTCOME_FILE"}, 0, nil},
		{"its directory removed", []string{"rm -r ${OUTCOME_FILE%/*}"}, 0, nil},
		{
			"another file in its place", []string{"echo k=v >new", "mv new $OUTCOME_FILE"}, 0, []string{"@ k=v"},
		},
		{
			"a link in its place",
			[]string{"echo secret >../other", "ln -sf $PWD/../other $OUTCOME_FILE"},
			0,
			[]string{"2 [runner] the outcome file (OUTCOME_FILE) is left out: it is a symbolic link now, and only a regular file is read; none of its variables is set"},
		},
		{
			"a link in place of its directory",
			[]string{"mkdir ../other", "echo secret >../other/variables", "d=${OUTCOME_FILE%/*}", "mv $d $d.old", "ln -s $PWD/../other $d"},
			0, nil,
		},
		{
			"a pipe in its place",
			[]string{"rm $OUTCOME_FILE", "mkfifo $OUTCOME_FILE"},
			0,
			[]string{"2 [runner] the outcome file (OUTCOME_FILE) is left out: it is no regular file any more, and only such a one is read; none of its variables is set"},
		},
		{
			"a directory in its place",
			[]string{"rm $OUTCOME_FILE", "mkdir $OUTCOME_FILE"},
			0,
			[]string{"2 [runner] the outcome file (OUTCOME_FILE) is left out: it is no regular file any more, and only such a one is read; none of its variables is set"},
		},
		{"too large", []string{"head -c 2097153 /dev/zero >$OUTCOME_FILE", "echo a"}, 0, []string{"1 a", tooLarge}},
		{
			"far too large",
			[]string{"truncate -s 1T $OUTCOME_FILE"},
			0,
			[]string{strings.Replace(tooLarge, "2097153", "1099511627776", 1)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startOutcome(t, tt.commands)
			got := s.lines()
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %.300q\nwant %.300q; the helper says: %s", got, tt.want, s.said.String())
			}
			if code, exit := s.exit(); code != tt.code || exit.Records != uint64(len(tt.want)) {
				t.Errorf("exit code %d and %d records, want %d and %d", code, exit.Records, tt.code, len(tt.want))
			}
		})
	}
}

// TestOutcomeFileIsForAllUsers: a command may run as another user than the step does.
func TestOutcomeFileIsForAllUsers(t *testing.T) {
	t.Parallel()
	s := startOutcome(t, []string{"umask 077", `stat -c %a "$OUTCOME_FILE" "${OUTCOME_FILE%/*}"`})
	if got := s.lines(); !slices.Equal(got, []string{"1 666", "1 777"}) {
		t.Errorf("modes are %q", got)
	}
}

// TestOutcomeFileOfTheLargestSize goes through a spool that is smaller than what it takes there.
func TestOutcomeFileOfTheLargestSize(t *testing.T) {
	t.Parallel()
	s := startOutcome(t, []string{"yes k=v | head -c 2097152 >$OUTCOME_FILE"}, "-spool-size", "1000000")
	if err := os.MkdirAll(s.spool(), 0o700); err != nil {
		t.Fatal(err)
	}
	r := s.reader()
	s.drain(r)
	if code, exit := s.exit(); code != 0 || exit.Records != entrypoint.MaxOutcomeBytes/4 || exit.Tally != r.Tally() {
		t.Errorf("exit code %d, record %+v, read %+v", code, exit, r.Tally())
	}
}

// drain reads the spool to its end and makes room as it goes.
func (s *step) drain(r *spool.Reader) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testTime)
	defer cancel()
	for read := uint64(0); ; {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.t.Fatalf("read the spool: %v; the helper says: %s", err, s.said.String())
		}
		read += uint64(b.Len())
		if err := r.Release(read); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestNobodyWaitsForTheOutcomeFile: it waits for room in the spool, and whoever wanted the step is gone.
func TestNobodyWaitsForTheOutcomeFile(t *testing.T) {
	t.Parallel()
	s := startOutcome(t, []string{"exec 3>$LEFT; yes k=v | head -c 2097152 >$OUTCOME_FILE; echo ready"},
		"-spool-size", "1000000", "-lifeline", "stdin", "-remove", "RUN")
	if err := s.in.Close(); err != nil {
		t.Fatal(err)
	}
	s.wait()
	if _, err := os.Lstat(filepath.Join(s.dir, "run")); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v; the helper says: %s", err, s.said.String())
	}
}

// TestEndWhileTheOutcomeFileWaits: a step that is over is not made a failure by a TERM that comes late.
func TestEndWhileTheOutcomeFileWaits(t *testing.T) {
	t.Parallel()
	s := startOutcome(t, []string{"exec 3>$LEFT; yes k=v | head -c 2097152 >$OUTCOME_FILE; echo ready"}, "-spool-size", "1000000")
	r := s.reader()
	for !strings.Contains(s.next(r), "k=v") {
	}
	s.signal(syscall.SIGTERM)
	s.drain(r)
	if code, exit := s.exit(); code != 0 || !exit.Asked.IsZero() || exit.Failure != "" {
		t.Errorf("exit code %d, record %+v", code, exit)
	}
}

// TestOutcomeVariableOfTheStep: a variable of the name that the step has already is left as it is, and that is told.
func TestOutcomeVariableOfTheStep(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"mine", ""} {
		t.Run("value "+value, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := startStepWith(t, []string{"OUTCOME_FILE=" + value}, []string{`echo "is $OUTCOME_FILE"`}, "-outcome", filepath.Join(dir, "o", "v"))
			want := []string{
				"2 [runner] the step has a variable OUTCOME_FILE of its own, so there is no outcome file; outcome variables can be printed",
				"1 is " + value,
			}
			if got := s.lines(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if _, err := os.Lstat(filepath.Join(dir, "o")); !os.IsNotExist(err) {
				t.Errorf("a file was made: %v", err)
			}
		})
	}
}

// TestOutcomeFileThatCantBeMade: the step runs all the same.
func TestOutcomeFileThatCantBeMade(t *testing.T) {
	t.Parallel()
	s := startStep(t, []string{`echo "is $OUTCOME_FILE"`}, "-outcome", "/proc/none/variables")
	got := s.lines()
	if len(got) != 2 || !strings.HasPrefix(got[0], "2 [runner] the outcome file could not be made, and OUTCOME_FILE is not set: ") || got[1] != "1 is " {
		t.Errorf("got %q", got)
	}
}
