package engine

import (
	"fmt"
	"testing"
)

// BenchmarkService is what a job costs the engine alone: a source that is always ready, over real gRPC, and an executor
// that does nothing.
func BenchmarkService(b *testing.B) {
	f, e := newFakeSource(b), newExecutors()
	e.started = nil
	for i := range b.N {
		f.add(fmt.Sprint(i))
	}
	s := newService(f, e)
	s.Concurrency = 20
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Serve(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	if len(f.reports) != b.N {
		b.Errorf("%d of %d jobs were reported", len(f.reports), b.N)
	}
}
