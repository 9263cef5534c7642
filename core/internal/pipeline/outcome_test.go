package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// seen are the words that a processor has been given.
type seen struct {
	mu    sync.Mutex
	words []string
}

// of makes processors that note what they see and then do what other ones do.
func (s *seen) of(start func(int) *processor) func(int) *processor {
	return func(n int) *processor {
		p := start(n)
		next := p.batch
		p.batch = func(b *pluginv1.Batch) (*pluginv1.Result, error) {
			s.mu.Lock()
			kinds := map[byte]bool{}
			for i := range b.Ends {
				s.words = append(s.words, word(record.Record{Flags: record.Flags(b.Flags[i]), Text: []byte(text(b, i))}))
				kinds[b.Flags[i]&byte(pluginv1.Flag_FLAG_OUTCOME)] = true
			}
			s.mu.Unlock()
			if len(kinds) > 1 {
				return nil, fmt.Errorf("a batch has records of both kinds: %v", b.Flags)
			}
			return next(b)
		}
		return p
	}
}

// taking drops the records of outcome files and puts a line behind each.
func taking(e *editor, seq uint64, text string) {
	if key, ok := strings.CutPrefix(text, "var "); ok {
		e.drop(seq)
		e.insert(seq, "took "+key)
	}
}

func TestOutcomeFile(t *testing.T) {
	const leftOut = `![runner] the outcome file of step "job" is left out: no processor of the pipeline reads it; add processor "outcome" {}`
	masking := func(e *editor, seq uint64, text string) {
		if i := strings.Index(text, "secret"); i >= 0 {
			e.splice(seq, i, len("secret"), "*")
		}
	}
	type part struct {
		name  string
		start func(int) *processor
	}
	reader := part{"reader", editing(taking)}
	redactor := part{"redactor", editing(masking)}
	other := part{"other", prefixing("> ")}
	in := []string{"a", "!b", "@var k=secret", "@var l=1"}
	tests := []struct {
		name  string
		parts []part
		in    []string
		want  []string
		// saw is what each part is given.
		saw [][]string
	}{
		{
			"nobody reads it", nil, append(slices.Clone(in), "@more"), []string{"a", "!b", leftOut}, nil,
		},
		{
			"a processor that does not know it",
			[]part{other},
			in,
			[]string{"> a", "!> b", "!> " + leftOut[1:]},
			[][]string{{"a", "!b", leftOut}},
		},
		{
			"one that redacts does not read it",
			[]part{redactor},
			in,
			[]string{"a", "!b", leftOut},
			[][]string{{"a", "!b", leftOut}},
		},
		{
			"a reader takes it, and others see what it puts in",
			[]part{other, reader, redactor, other},
			in,
			[]string{"> > a", "!> > b", "> took k=*", "> took l=1"},
			[][]string{
				{"a", "!b"},
				{"> a", "!> b", "@var k=secret", "@var l=1"},
				{"> a", "!> b", "took k=secret", "took l=1"},
				{"> a", "!> b", "took k=*", "took l=1"},
			},
		},
		{
			"what redacts sees it before a reader behind",
			[]part{redactor, other, reader},
			in,
			[]string{"> a", "!> b", "took k=*", "took l=1"},
			[][]string{
				in,
				{"a", "!b"},
				{"> a", "!> b", "@var k=*", "@var l=1"},
			},
		},
		{
			"what a reader leaves ends behind the last one",
			[]part{reader, other},
			[]string{"a", "@left", "@var k", "@le…", "@ft"},
			[]string{"> a", "> took k"},
			[][]string{{"a", "@left", "@var k", "@le…", "@ft"}, {"a", "took k"}},
		},
		{
			"nothing but the file",
			[]part{other, reader, other},
			[]string{"@var k"},
			[]string{"> took k"},
			[][]string{nil, {"@var k"}, {"took k"}},
		},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 2, 100} {
			t.Run(fmt.Sprintf("%s, batches of %d", tt.name, n), func(t *testing.T) {
				var stages []Stage
				saw := make([]seen, len(tt.parts))
				for i, p := range tt.parts {
					s := stageOf(t, p.name, saw[i].of(p.start))
					s.ReadsOutcome, s.Redacts = p.name == "reader", p.name == "redactor"
					stages = append(stages, s)
				}
				got, _ := runStages(t, logOf(n, tt.in...), stages...)
				equal(t, got, tt.want)
				for i := range saw {
					if !slices.Equal(saw[i].words, tt.saw[i]) {
						t.Errorf("part %d, %s, saw %q, want %q", i+1, tt.parts[i].name, saw[i].words, tt.saw[i])
					}
				}
			})
		}
	}
}

// TestOutcomeFilePassesAroundInOrder: many batches of an outcome file pass around processors that crash, and come to the
// reader whole, in order and behind the log.
func TestOutcomeFilePassesAroundInOrder(t *testing.T) {
	const lines = 20_000
	in := numbered(lines)
	for i := range lines {
		in = append(in, fmt.Sprintf("@var %d", i))
	}
	crashed := map[uint64]bool{}
	around := stageOf(t, "around", counting(func(_ int, seq uint64) bool {
		crash := !crashed[seq] && (seq > lines-600 || seq/400%5 == 0)
		crashed[seq] = true
		return crash
	}))
	around.Checkpoints = true
	reader := stageOf(t, "reader", editing(taking))
	reader.ReadsOutcome = true
	got, _ := runStages(t, logOf(500, in...), around, reader, stageOf(t, "behind", prefixing("")))
	var want []string
	for i := range lines {
		want = append(want, fmt.Sprintf("%d: %s", i+1, in[i]))
	}
	for i := range lines {
		want = append(want, fmt.Sprintf("took %d", i))
	}
	equal(t, got, want)
	if len(crashed) == 0 {
		t.Error("nothing crashed: the test tests nothing")
	}
}

// TestOutcomeFileAndFailures: what withholds the log after a failure has nothing to do with a file that it does
// not read; what redacts withholds that, too.
func TestOutcomeFileAndFailures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		redacts bool
		took    bool
	}{
		{"a processor that does not see it", false, true},
		{"one that redacts", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := stageOf(t, "bad", badAt("poison", func(*pluginv1.Batch) (*pluginv1.Result, error) { return nil, errCrash }))
			bad.OnError, bad.Redacts = Drop, tt.redacts
			reader := stageOf(t, "reader", editing(taking))
			reader.ReadsOutcome = true
			got, _ := runStages(t, logOf(1, "poison", "b", "@var k"), bad, reader)
			if slices.Contains(got, "took k") != tt.took {
				t.Errorf("came out %q", got)
			}
		})
	}
}
