package pipeline

import (
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
		if err := apply(&out, batch, 1, c); err != nil {
			t.Fatal(err)
		}
		if err := out.finish(); err != nil {
			t.Fatal(err)
		}
		if open[0] || open[1] {
			t.Error("a line is left open")
		}
		if c.valid {
			t.Error("apply has left edits that check has taken")
		}
	})
}
