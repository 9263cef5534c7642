package pipeline

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// edited checks and applies edits of a batch that begins with record 1, and returns the words that come of it.
func edited(t *testing.T, batch *record.Batch, edits *pluginv1.Edits) []string {
	t.Helper()
	if err := check(edits, 1, uint64(batch.Len()), func(seq uint64) int { return len(batch.Text(int(seq - 1))) }); err != nil {
		t.Fatal(err)
	}
	c, err := newCursor(edits)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	out := output{emit: func(b *record.Batch) error {
		for _, r := range b.All {
			got = append(got, fmt.Sprintf("%d %d %s", r.Time, r.Flags, r.Text))
		}
		return nil
	}}
	if err := apply(&out, batch, 1, c, &prefixes{columns: edits}); err != nil {
		t.Fatal(err)
	}
	if err := out.finish(); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPrefixRuns: runs come to the same as splices at the beginning of each record, whatever other edits there are.
func TestPrefixRuns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		n := 1 + random.IntN(40)
		var in record.Builder
		for i := range n {
			flags := record.Flags(random.IntN(2)) * record.Stderr
			if i < n-2 && random.IntN(5) == 0 {
				flags |= record.Partial
			}
			in.Add(record.StepJob, record.Record{Flags: flags, Time: int64(i * i), Text: []byte(strings.Repeat("t", random.IntN(8)))})
		}
		batch := in.Take()
		var splices, runs editor
		runs.edits.FirstSeq, runs.last, splices.edits.FirstSeq, splices.last = 1, 1, 1, 1
		for i := 0; i < n; {
			count, text := min(1+random.IntN(5), n-i), strings.Repeat("p", random.IntN(3))
			runs.edits.PrefixCounts = append(runs.edits.PrefixCounts, uint32(count))
			runs.edits.PrefixLengths = append(runs.edits.PrefixLengths, uint32(len(text)))
			runs.edits.PrefixData = append(runs.edits.PrefixData, text...)
			for range count {
				seq := uint64(i) + 1
				if text != "" {
					splices.splice(seq, 0, 0, text)
				}
				kind := random.IntN(6)
				for _, e := range []*editor{&splices, &runs} {
					switch kind {
					case 0:
						e.splice(seq, 0, len(batch.Text(i)), "all")
					case 1:
						e.drop(seq)
					case 2:
						e.insert(seq, "new")
					}
				}
				i++
			}
			if random.IntN(4) == 0 {
				break // no prefix for what is left
			}
		}
		equal(t, edited(t, batch, &runs.edits), edited(t, batch, &splices.edits))
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// TestPrefixRunsOverBatches: a Result that acknowledges several batches has the runs of all of them.
func TestPrefixRunsOverBatches(t *testing.T) {
	edits := &pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{1, 4, 1}, PrefixLengths: []uint32{0, 2, 1}, PrefixData: []byte("abc")}
	c, err := newCursor(edits)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	out := output{emit: func(b *record.Batch) error {
		for _, r := range b.All {
			got = append(got, string(r.Text))
		}
		return nil
	}}
	p := prefixes{columns: edits}
	for i := range 4 {
		if err := apply(&out, logOf(9, "1", "2").batches[0], uint64(2*i)+1, c, &p); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.flush(); err != nil {
		t.Fatal(err)
	}
	equal(t, got, []string{"1", "ab2", "ab1", "ab2", "ab1", "c2", "1", "2"})
}

func TestPrefixRunsThatDoNotFit(t *testing.T) {
	tests := []struct {
		name  string
		edits pluginv1.Edits
		want  string
	}{
		{name: "no length", edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{1}}, want: "1 prefix_counts and 0 prefix_lengths"},
		{name: "another beginning", edits: pluginv1.Edits{FirstSeq: 2, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{0}}, want: "begin with record 2"},
		{name: "an empty run", edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{0}, PrefixLengths: []uint32{0}}, want: "run 0 of prefixes has no records"},
		{name: "too many records", edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{3, 1}, PrefixLengths: []uint32{0, 0}}, want: "prefixes for 4 records"},
		{name: "too little text", edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{3}, PrefixData: []byte("ab")}, want: "3 bytes in 2 bytes"},
		{name: "too much text", edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{1}, PrefixData: []byte("ab")}, want: "1 bytes in 2 bytes"},
		{name: "text of no run", edits: pluginv1.Edits{FirstSeq: 1, PrefixData: []byte("ab")}, want: "0 bytes in 2 bytes"},
		{name: "a line end", edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{1}, PrefixData: []byte("\n")}, want: "line end"},
		{
			name: "much of little", want: "longer, more than",
			edits: pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{3}, PrefixLengths: []uint32{6 << 20}, PrefixData: make([]byte, 6<<20)},
		},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			err := check(&tt.edits, 1, 3, func(uint64) int { return 0 })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want one with %q", err, tt.want)
			}
		})
	}
}
