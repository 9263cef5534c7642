package capture_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/capture"
)

// result is what is left of a log.
type result struct {
	Lines     []string
	Variables []string
}

// feeder gives a log to a State, and keeps what it leaves in the log.
type feeder struct {
	state *capture.State
	// restore makes the State anew from its checkpoint before each piece.
	restore bool
	// open is the line of which pieces have come out, when it is not over.
	open []byte
	out  []string
}

// again puts another State in place of the feeder's, as after a crash.
func (f *feeder) again(t *testing.T, piece string) {
	t.Helper()
	if !f.restore {
		return
	}
	again, err := capture.Restore(f.state.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	size, held := f.state.Counts()
	if newSize, newHeld := again.Counts(); newSize != size || newHeld != held {
		t.Fatalf("before %.80q: counted %d and %d bytes, there are %d and %d", piece, size, held, newSize, newHeld)
	}
	f.state = again
}

// file gives a piece of a line of the outcome file. What is told of it stands in the log.
func (f *feeder) file(t *testing.T, step, piece string, more bool) {
	t.Helper()
	f.again(t, piece)
	f.state.Enter(step)
	notices := f.state.File([]byte(piece), more)
	if more && notices != nil {
		t.Fatalf("%q is told after a piece that is not the last one", notices)
	}
	for _, line := range notices {
		f.out = append(f.out, string(line))
	}
}

func (f *feeder) piece(t *testing.T, step, piece string, more bool) {
	t.Helper()
	f.again(t, piece)
	f.state.Enter(step)
	text := []byte(piece)
	ignored := f.state.Ignores(text, more)
	edit := f.state.Piece(text, more)
	if ignored && (edit.Drop || edit.Replace != nil || edit.Insert != nil) {
		t.Fatalf("%q is ignored, and edited: %+v", piece, edit)
	}
	if edit.Replace != nil {
		text = edit.Replace
	}
	if !edit.Drop {
		f.open = append(f.open, text...)
	}
	if !edit.Drop && !more {
		f.out = append(f.out, string(f.open))
	}
	if more {
		if edit.Insert != nil {
			t.Fatalf("lines after a piece that is not the last one: %q", edit.Insert)
		}
		return
	}
	f.open = nil
	for _, line := range edit.Insert {
		f.out = append(f.out, string(line))
	}
}

func (f *feeder) finish() result {
	variables, lines := f.state.Finish()
	r := result{Lines: f.out, Variables: []string{}}
	for _, line := range lines {
		r.Lines = append(r.Lines, string(line))
	}
	for _, v := range variables {
		r.Variables = append(r.Variables, v.Key+"="+string(v.Value))
	}
	return r
}

// run gives whole lines of one step.
func run(t *testing.T, lines ...string) result {
	t.Helper()
	f := feeder{state: &capture.State{}, restore: true}
	for _, line := range lines {
		f.piece(t, "job", line, false)
	}
	return f.finish()
}

type vector struct {
	Name             string
	StdoutLines      []string
	LinesPassedOn    []string
	OutcomeVariables map[string]string
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("../../testdata/outcome-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 20 {
		t.Fatalf("only %d vectors", len(list))
	}
	return list
}

// The seed ships a captured line as an empty one, and loses the lines of a block that is never closed. Both are
// different here on purpose; variables are the same in every vector.
func TestVectors(t *testing.T) {
	givenBack := map[string][]string{
		"multiline never closed swallows the rest and keeps its newline": {
			`[runner] outcome: the block of variable "m" has no end; the variable is set all the same, and the lines were:`,
			"::start-multiline-outcome-var m", "x", "y",
		},
	}
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			var want []string
			for _, line := range v.LinesPassedOn {
				if line != "" { // no vector has an empty line of its own
					want = append(want, line)
				}
			}
			want = append(want, givenBack[v.Name]...)
			delete(givenBack, v.Name)
			got := run(t, v.StdoutLines...)
			if d := cmp.Diff(want, got.Lines); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
			variables := map[string]string{}
			for _, x := range got.Variables {
				key, value, _ := strings.Cut(x, "=")
				variables[key] = value
			}
			if d := cmp.Diff(v.OutcomeVariables, variables); d != "" {
				t.Errorf("variables (-want +got):\n%s", d)
			}
		})
	}
	if len(givenBack) > 0 {
		t.Errorf("no vector of this name: %v", givenBack)
	}
}

func TestVariablesKeepTheOrderInWhichTheyWereFirstNamed(t *testing.T) {
	got := run(t,
		"::set-outcome-var b=1", "::start-multiline-outcome-var c", "::start-multiline-outcome-var a", "x",
		"::end-multiline-outcome-var", "y", "::end-multiline-outcome-var", "::set-outcome-var b=2")
	if d := cmp.Diff([]string{"b=2", "c=y", "a=x"}, got.Variables); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
}

func TestBlockEndsWithItsStep(t *testing.T) {
	f := feeder{state: &capture.State{}, restore: true}
	f.piece(t, "init", "::set-outcome-var kept=1", false)
	f.piece(t, "init", "::start-multiline-outcome-var m", false)
	f.piece(t, "init", "from init", false)
	f.piece(t, "job", "from job", false)
	f.piece(t, "job", "::end-multiline-outcome-var", false)
	want := result{
		Lines: []string{
			"from job", "::end-multiline-outcome-var",
			`[runner] outcome: the block of variable "m" has no end; the variable is set all the same, and the lines were:`,
			"::start-multiline-outcome-var m", "from init",
		},
		Variables: []string{"kept=1", "m=from init\n"},
	}
	if d := cmp.Diff(want, f.finish()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBlockWithNoLinesAndNoEndSetsNothing(t *testing.T) {
	if got := run(t, "::start-multiline-outcome-var m"); len(got.Variables) > 0 || len(got.Lines) != 2 {
		t.Errorf("got %q", got)
	}
}

// fragments make up lines in which directives are frequent.
var fragments = []string{
	"::set-outcome-var", "::start-multiline-outcome-var", "::end-multiline-outcome-var", " ", "\t", "+", "+ ", ":", "a",
	"b", "=", "x", "é", "", "<<", "a", "\r", "::stop-commands::", "token-01", "::token-01::", "<",
}

func randomLine(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(3) > 0 {
		b.WriteString(fragments[r.IntN(3)] + fragments[3+r.IntN(2)] + fragments[8+r.IntN(2)])
	}
	for range r.IntN(4) {
		b.WriteString(fragments[r.IntN(len(fragments))])
	}
	return b.String()
}

func randomFileLine(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString([]string{"a", "b", "=", "<<", "E", "", " ", "\r", "<", "é"}[r.IntN(10)])
	}
	return b.String()
}

func TestCutsAndCrashesChangeNothing(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		whole := feeder{state: &capture.State{}}
		cut := feeder{state: &capture.State{}, restore: true}
		var log []string
		for range 1 + r.IntN(12) {
			line := randomLine(r)
			log = append(log, line)
			whole.piece(t, "job", line, false)
			for len(line) > 0 && r.IntN(4) > 0 {
				n := r.IntN(len(line) + 1)
				cut.piece(t, "job", line[:n], true)
				line = line[n:]
			}
			cut.piece(t, "job", line, false)
		}
		for range r.IntN(12) {
			line := randomFileLine(r)
			log = append(log, "file: "+line)
			whole.file(t, "job", line, false)
			for len(line) > 0 && r.IntN(4) > 0 {
				n := r.IntN(len(line) + 1)
				cut.file(t, "job", line[:n], true)
				line = line[n:]
			}
			cut.file(t, "job", line, false)
		}
		if d := cmp.Diff(whole.finish(), cut.finish()); d != "" {
			t.Fatalf("seed %d, log %q (-whole +cut):\n%s", seed, log, d)
		}
	}
}

func TestOrdinaryLinesAllocateNothing(t *testing.T) {
	var s capture.State
	s.Enter("job")
	lines := [][]byte{[]byte("plain"), []byte("+ echo x"), []byte("::other x"), nil}
	if n := testing.AllocsPerRun(100, func() {
		for _, line := range lines {
			s.Ignores(line, false)
			s.Piece(line, false)
			s.Checkpoint()
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleState() {
	var s capture.State
	for _, line := range []string{"before", "::set-outcome-var answer=42", "after"} {
		if edit := s.Piece([]byte(line), false); !edit.Drop {
			fmt.Println(line)
		}
	}
	variables, _ := s.Finish()
	fmt.Printf("%s is %s\n", variables[0].Key, variables[0].Value)
	// Output:
	// before
	// after
	// answer is 42
}
