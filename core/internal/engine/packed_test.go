package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// TestPackedLogs: a source gets the lines in the form that it takes, also when they come again, and they are the same.
func TestPackedLogs(t *testing.T) {
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprint(packed), func(t *testing.T) {
			f, e := newFakeSource(t), newExecutors()
			var ids []string
			for i := range 20 {
				ids = append(ids, fmt.Sprint("job-", i))
			}
			f.add(ids...)
			f.appendErr = []error{errAway, nil, errAway}
			s := newService(f, e)
			s.Pipelines[0].PackedLogs = packed
			serve(t, t.Context(), s)
			for _, id := range ids {
				wantReport(t, f, id, job.Success, "")
				got := slices.Compact(f.logs[id]) // the fake keeps lines; a call that fails may have kept none
				if want := []string{"line of " + id}; !slices.Equal(got, want) {
					t.Errorf("the log of %s is %q", id, got)
				}
			}
			for _, r := range f.appends {
				if lines, ends := len(r.GetLines()), len(r.GetEnds()); packed != (lines == 0) || packed != (ends > 0) {
					t.Errorf("a call has %d lines and %d ends", lines, ends)
				}
			}
		})
	}
}

// TestPack: the memory of one call serves the next, and what is packed is what was there.
func TestPack(t *testing.T) {
	lines := make([][]byte, 1000)
	for i := range lines {
		lines[i] = []byte(fmt.Sprint("line ", i))
	}
	run := func() {
		request := &pluginv1.AppendLogsRequest{Lines: lines}
		free := pack(request, true)
		start := uint32(0)
		for i, end := range request.Ends {
			if string(request.Data[start:end]) != string(lines[i]) {
				t.Fatalf("line %d is %q", i, request.Data[start:end])
			}
			start = end
		}
		if len(request.Ends) != len(lines) || int(start) != len(request.Data) || request.Lines != nil {
			t.Fatalf("%d lines are %d, up to byte %d of %d", len(lines), len(request.Ends), start, len(request.Data))
		}
		free()
	}
	run()
	// The request, what frees, and what a pool that forgets at random makes anew; none a line.
	if got := testing.AllocsPerRun(20, run); got > 20 {
		t.Errorf("1000 lines cost %v allocations", got)
	}
}
