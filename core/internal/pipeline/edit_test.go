package pipeline

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// FuzzEdits: whatever a processor sends, check refuses it or apply writes well-formed batches; neither panics.
func FuzzEdits(f *testing.F) {
	var e editor
	e.splice(1, 0, 1, "x")
	e.drop(2)
	e.insert(2, "new")
	good, err := proto.Marshal(&e.edits)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	e.edits.PrefixCounts, e.edits.PrefixLengths, e.edits.PrefixData = []uint32{1, 2}, []uint32{0, 3}, []byte("pre")
	prefixed, err := proto.Marshal(&e.edits)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(prefixed)
	f.Add([]byte{})
	batch := logOf(3, "abc", "!d…", "").batches[0]
	f.Fuzz(func(t *testing.T, data []byte) {
		edits := &pluginv1.Edits{}
		if proto.Unmarshal(data, edits) != nil {
			return
		}
		if check(edits, 1, 3, func(seq uint64) int { return len(batch.Text(int(seq - 1))) }) != nil {
			return
		}
		c, err := newCursor(edits)
		if err != nil {
			t.Fatal("check took what newCursor refuses:", err)
		}
		open := [2]bool{}
		out := output{emit: func(b *record.Batch) error {
			for _, r := range b.All {
				stream := r.Flags & record.Stderr
				open[stream] = r.Flags&record.Partial != 0
			}
			return nil
		}}
		p := prefixes{columns: edits}
		if err := apply(&out, batch, 1, c, &p); err != nil {
			t.Fatal(err)
		}
		if err := out.finish(); err != nil {
			t.Fatal(err)
		}
		if open[0] || open[1] {
			t.Error("a line is left open")
		}
		if c.valid || p.left() {
			t.Error("apply has left edits that check has taken")
		}
	})
}

// TestEditsKeepTimes: an edited record and those around it keep their times, and a new one has that of the record before
// it.
func TestEditsKeepTimes(t *testing.T) {
	var in record.Builder
	for i := range 9 {
		in.Add(record.StepJob, record.Record{Time: int64(100 + i*i), Text: []byte("text")})
	}
	var e editor
	e.splice(3, 0, 4, "3")
	e.drop(4)
	e.insert(8, "new")
	c, err := newCursor(&e.edits)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	out := output{emit: func(b *record.Batch) error {
		for _, r := range b.All {
			got = append(got, fmt.Sprintf("%d %s", r.Time, r.Text))
		}
		return nil
	}}
	if err := apply(&out, in.Take(), 1, c, &prefixes{}); err != nil {
		t.Fatal(err)
	}
	if err := out.finish(); err != nil {
		t.Fatal(err)
	}
	equal(t, got, []string{
		"100 text", "101 text", "104 3", "116 text", "125 text", "136 text", "149 text", "149 new", "164 text",
	})
}
