package redact_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/redact"
)

// jobOf returns a job with ten secrets.
func jobOf(i int) *job.Job {
	j := &job.Job{}
	for n := range 10 {
		j.Variables = append(j.Variables, job.Variable{
			Key: fmt.Sprint("K", n), Value: fmt.Sprintf("svc-%04d-%02d-key/%08d+abcdefgh=", i, n, i*7919), Sensitive: true,
		})
	}
	return j
}

// BenchmarkSet is what a job costs when it begins; the memory is that of what finds its values.
func BenchmarkSet(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*redact.Redactor
	for i := 0; b.Loop(); i++ {
		r := &redact.Redactor{}
		r.Set(jobOf(i))
		all = append(all, r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(all)), "heap-bytes/job")
	runtime.KeepAlive(all)
}

// BenchmarkString is what a line of log costs with so many jobs that have secrets of their own.
func BenchmarkString(b *testing.B) {
	line := strings.Repeat("ordinary words of a line of log, job=id-12345 ", 4)
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n, " jobs"), func(b *testing.B) {
			var jobs []*job.Job
			for i := range n {
				jobs = append(jobs, jobOf(i))
			}
			var r redact.Redactor
			r.Set(jobs...)
			b.ReportAllocs()
			for b.Loop() {
				r.String(line)
			}
		})
	}
}
