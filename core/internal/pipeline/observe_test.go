package pipeline

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestObserve counts a log that one processor makes longer and another shorter, records and bytes.
func TestObserve(t *testing.T) {
	longer := stageOf(t, "longer", prefixing("<<"))
	fewer := stageOf(t, "fewer", editing(func(e *editor, seq uint64, text string) {
		if text == "<<bb" {
			e.drop(seq)
		}
	}))
	o := options(logOf(2, "a", "bb", "ccc"), &collector{}, longer, fewer)
	var mu sync.Mutex
	got := map[[2]string][2]int{}
	o.Observe = func(from, to string, records, bytes int) {
		mu.Lock()
		defer mu.Unlock()
		n := got[[2]string{from, to}]
		got[[2]string{from, to}] = [2]int{n[0] + records, n[1] + bytes}
	}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := map[[2]string][2]int{{Start, "longer"}: {3, 6}, {"longer", "fewer"}: {3, 12}, {"fewer", End}: {2, 8}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
