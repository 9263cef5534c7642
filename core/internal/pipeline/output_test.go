package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
)

// written collects what an output writes, as words.
func written(words *[]string) output {
	return output{emit: func(b *record.Batch) error {
		for _, r := range b.All {
			*words = append(*words, word(r))
		}
		return nil
	}}
}

// TestInsertsInALongLine puts lines in while a line is open, more than there is room for. The line stays whole: its pieces
// follow one another, so the next stage still sees what stands across them.
func TestInsertsInALongLine(t *testing.T) {
	const piece = 1 << 10
	room := maxDeferredBytes / (piece + deferredCost)
	for _, test := range []struct {
		name    string
		text    string
		inserts int
		kept    int
	}{
		{"as many as there is room for", strings.Repeat("x", piece), room, room},
		{"one more", strings.Repeat("x", piece), room + 1, room},
		{"many more", strings.Repeat("x", piece), room + 500, room},
		{"empty ones", "", maxDeferredBytes/deferredCost + 3, maxDeferredBytes / deferredCost},
	} {
		for _, stream := range []string{"", "!"} {
			t.Run(fmt.Sprintf("%s %q", test.name, stream), func(t *testing.T) {
				var got []string
				out := written(&got)
				mustDo(t, out.record(record.StepJob, rec(stream+"sec…")))
				for range test.inserts {
					mustDo(t, out.insert(record.StepJob, rec(stream+test.text)))
				}
				mustDo(t, out.record(record.StepJob, rec(stream+"ret")))
				mustDo(t, out.record(record.StepJob, rec(stream+"next")))
				mustDo(t, out.flush())
				want := []string{stream + "sec…", stream + "ret"}
				for range test.kept {
					want = append(want, stream+test.text)
				}
				if left := test.inserts - test.kept; left > 0 {
					want = append(want, stream+fmt.Sprintf(
						"[runner] %d lines that were put in were left out: more than 1 MiB of them waited for the end of a long line", left))
				}
				equal(t, got, append(want, stream+"next"))
			})
		}
	}
}

// TestInsertsInALongLineThatIsPassed: batches that are passed as they are bring the end of the line, too.
func TestInsertsInALongLineThatIsPassed(t *testing.T) {
	var got []string
	out := written(&got)
	mustDo(t, out.pass(logOf(1, "a…").batches[0]))
	first := strings.Repeat("x", record.MaxBytes)
	mustDo(t, out.insert(record.StepJob, rec(first)))
	mustDo(t, out.insert(record.StepJob, rec(strings.Repeat("y", maxDeferredBytes))))
	mustDo(t, out.pass(logOf(1, "b").batches[0]))
	mustDo(t, out.pass(logOf(1, "c").batches[0]))
	mustDo(t, out.finish())
	equal(t, got, []string{
		"a…", "b", first, "[runner] 1 lines that were put in were left out: more than 1 MiB of them waited for the end of a long line", "c",
	})
}

// TestNotesAreNotLeftOut: core's own word has room even where a processor's lines have none.
func TestNotesAreNotLeftOut(t *testing.T) {
	var got []string
	out := written(&got)
	mustDo(t, out.record(record.StepJob, rec("!a…")))
	mustDo(t, out.insert(record.StepJob, rec("!"+strings.Repeat("x", maxDeferredBytes-deferredCost))))
	mustDo(t, out.addLine(record.Stderr, note("the processor failed")))
	mustDo(t, out.finish())
	if last := got[len(got)-1]; last != "![runner] the processor failed" {
		t.Errorf("the last line is %.80q", last)
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
