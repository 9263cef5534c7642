//go:build linux

package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/job"
)

func TestRandomBytes(t *testing.T) {
	t.Parallel()
	r := start(t, newExecutor(t, nil), job.Job{Commands: []string{"head -c 3000000 /dev/urandom | tee random"}})
	out, res := follow(t, r)
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	want, err := os.ReadFile(filepath.Join(r.dir, "work", "1", "random"))
	if err != nil {
		t.Fatal(err)
	}
	got := []byte(strings.Join(out.lines["job stdout"], "\n"))
	if !bytes.Equal(got, bytes.TrimSuffix(want, []byte("\n"))) {
		t.Errorf("%d bytes were written, and others read", len(want))
	}
}

func TestLongLineAndNoNewline(t *testing.T) {
	t.Parallel()
	out, res := runJob(t, job.Job{Commands: []string{
		"head -c 10485760 /dev/zero | tr '\\0' x; echo", "printf 'no newline'",
	}})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	lines := out.lines["job stdout"]
	if len(lines) != 2 || lines[0] != strings.Repeat("x", 10<<20) || lines[1] != "no newline" {
		t.Errorf("got %d lines", len(lines))
	}
}

func TestLongScript(t *testing.T) {
	t.Parallel()
	long := ": " + strings.Repeat("x", 200<<10)
	out, res := runJob(t, job.Job{Commands: []string{"echo first $0 $#", long, "echo last"}})
	wantOutcome(t, res, job.Success, job.ReasonNone, 0)
	wantLines(t, out, "job stdout", "first /bin/sh 0", "last")
}

// TestSlowReader has a job print 100 MB while nobody reads more than a little at a time: the disk holds no more than
// the bound, and every line comes.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const bound, lines = 1 << 20, 1_000_000
	e := newExecutor(t, func(o *Options) { o.SpoolBytes = bound })
	r := start(t, e, job.Job{Commands: []string{"seq -f %099.0f 1000000"}})
	ctx := deadline(t)
	read, line, most := uint64(0), 0, int64(0)
	want := []byte(strings.Repeat("0", 99))
	for n := 0; ; n++ {
		b, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, rec := range b.All {
			increment(want)
			if line++; !bytes.Equal(rec.Text, want) {
				t.Fatalf("line %d of batch %d is %q, want %q", i, n, rec.Text, want)
			}
		}
		read += uint64(b.Len())
		if n%50 == 0 {
			most = max(most, size(t, filepath.Join(r.dir, "spool-job")))
		}
		r.Ack(read)
	}
	res, err := r.Result(ctx)
	if err != nil || res.Gap != "" || res.Outcome != job.Success {
		t.Errorf("result %+v, %v", res, err)
	}
	if line != lines || res.Records != lines {
		t.Errorf("%d lines were read and %d written, want %d", line, res.Records, lines)
	}
	if most > bound+64<<10 {
		t.Errorf("the spool grew to %d bytes", most)
	}
}

// increment adds one to a decimal number.
// TestAckWhileNextWaits: the job waits for room, Next waits for the job, and an Ack from another goroutine makes the room.
func TestAckWhileNextWaits(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(o *Options) { o.SpoolBytes = 1 << 20 })
	r := start(t, e, job.Job{ID: "1", Image: "x", Commands: []string{"set +xv; yes 0123456789012345678901234567890123456789 | head -n 200000"}})
	read := make(chan uint64)
	go func() {
		defer close(read)
		records := uint64(0)
		for {
			batch, err := r.Next(deadline(t))
			if err != nil {
				return
			}
			records += uint64(batch.Len())
			read <- records
		}
	}()
	last := uint64(0)
	for records := range read {
		last = records
		r.Ack(records)
	}
	if last < 200_000 {
		t.Errorf("%d records were read, want 200000 and a few", last)
	}
}

func increment(digits []byte) {
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i]++; digits[i] <= '9' {
			return
		}
		digits[i] = '0'
	}
}

func size(t *testing.T, dir string) int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else just released
			sum += info.Size()
		}
	}
	return sum
}

// TestGap removes a record from the spool behind the job's back.
func TestGap(t *testing.T) {
	t.Parallel()
	r := start(t, newExecutor(t, nil), job.Job{Commands: []string{"echo one", "echo two"}})
	follow(t, r)
	r.steps[0].exit.Checksum++
	res, err := r.Result(deadline(t))
	if err != nil || !strings.Contains(res.Gap, "checksum") {
		t.Errorf("gap is %q, %v", res.Gap, err)
	}
	r.steps[0].exit.Records++
	if res, _ = r.Result(deadline(t)); !strings.Contains(res.Gap, "3 records were written and 2 read") {
		t.Errorf("gap is %q", res.Gap)
	}
}

// TestLogThatCannotBeRead: a job whose spool is damaged is ended, since nobody will make room in it any more.
func TestLogThatCannotBeRead(t *testing.T) {
	e := newExecutor(t, nil)
	r := start(t, e, job.Job{Commands: []string{"echo a line to be damaged", "sleep 1000"}})
	var damaged []string
	for ctx := deadline(t); len(damaged) == 0; time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("nothing is printed")
		}
		damaged = filesWith(t, r.steps[0].spool, "a line to be damaged", "")
		damaged = slices.DeleteFunc(damaged, func(path string) bool { return strings.HasSuffix(path, ".new") }) // it is about to be renamed
	}
	data, err := os.ReadFile(damaged[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged[0], bytes.Replace(data, []byte("damaged"), []byte("DAMAGED"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newOutput().follow(deadline(t), r); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("the log ends with %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := r.Result(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if res.Outcome != job.Failed || res.Reason != job.ReasonInfrastructure || !strings.Contains(res.Message, "can't be read") {
		t.Errorf("the result is %+v", res)
	}
}
