// Runner-source-bench is the job source of the benchmarks: it offers the jobs of a file, one JSON object a line, writes
// their logs into a folder as they come, notes when they came, and ends when the last job is over. What it does with a
// line is the least that a remote system can do, so that what is measured is the way to it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/podrunner/runner/sdk"
)

// config is what config {} may hold.
type config struct {
	Jobs string `config:"jobs" desc:"File with the jobs, one JSON object a line: id, commands, variables."`
	Logs string `config:"logs" desc:"Folder for logs, arrivals and results; it has to exist."`
}

// job is a line of the file.
type job struct {
	ID        string            `json:"id"`
	Commands  []string          `json:"commands"`
	Variables []sdk.JobVariable `json:"variables"`
}

// result is what is left of a job in ID.json. Times are nanoseconds since the Unix epoch.
type result struct {
	Outcome, Message  string
	Offered, Reported int64
}

// bench is the source.
type bench struct {
	config
	mu      sync.Mutex
	running map[string]*log
}

// log is what there is of a running job's log.
type log struct {
	offered         time.Time
	lines, arrivals *os.File
	next            uint64
	buf             []byte
}

var _ sdk.JobSource = (*bench)(nil)

// Take offers all jobs.
func (b *bench) Take(ctx context.Context, in *sdk.Intake) error {
	file, err := os.Open(b.Jobs)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	in.Connected()
	for jobs := json.NewDecoder(file); jobs.More(); {
		var j job
		if err := jobs.Decode(&j); err != nil {
			return fmt.Errorf("read %s: %w", b.Jobs, err)
		}
		claim, err := in.Claim(ctx)
		if err != nil {
			return err
		}
		if err := b.begin(j.ID); err != nil {
			return err
		}
		offer := sdk.Offer{Key: sdk.JobKey{ID: j.ID, Attempt: 1}, Image: "none", Commands: j.Commands, Variables: j.Variables}
		if err := claim.Offer(offer); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) begin(id string) error {
	l := &log{offered: time.Now(), next: 1}
	for _, f := range []struct {
		file **os.File
		name string
	}{{&l.lines, id + ".log"}, {&l.arrivals, id + ".arrivals"}} {
		var err error
		if *f.file, err = os.Create(filepath.Join(b.Logs, f.name)); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[id] = l
	return nil
}

func (b *bench) log(id string) (*log, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.running[id]; l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("job %q was not offered", id)
}

// Released is not to happen: nobody kills anything here.
func (b *bench) Released(_ context.Context, r sdk.Release) error {
	return fmt.Errorf("job %q was given back: %s", r.Job.ID, r.Message)
}

// AppendLogs writes lines, and a line of arrivals: when they came, the number of the first, and how many they are.
func (b *bench) AppendLogs(_ context.Context, logs sdk.Logs) ([]sdk.RefusedLines, error) {
	now := time.Now().UnixNano()
	l, err := b.log(logs.Job.ID)
	if err != nil {
		return nil, err
	}
	if logs.FirstLine != l.next {
		return nil, fmt.Errorf("line %d comes in the place of line %d", logs.FirstLine, l.next)
	}
	l.next += uint64(len(logs.Lines))
	l.buf = l.buf[:0]
	for _, line := range logs.Lines {
		l.buf = append(append(l.buf, line...), '\n')
	}
	if _, err := l.lines.Write(l.buf); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(l.arrivals, now, logs.FirstLine, len(logs.Lines))
	return nil, err
}

// Report writes the result.
func (b *bench) Report(_ context.Context, r sdk.Report) error {
	l, err := b.log(r.Job.ID)
	if err != nil {
		return err
	}
	text, err := json.Marshal(result{Outcome: r.Outcome, Message: r.Message, Offered: l.offered.UnixNano(), Reported: time.Now().UnixNano()})
	if err != nil {
		return err
	}
	_ = errors.Join(l.lines.Close(), l.arrivals.Close()) // all writes to them have been seen to succeed
	return os.WriteFile(filepath.Join(b.Logs, r.Job.ID+".json"), text, 0o600)
}

func main() {
	sdk.Serve(sdk.Plugin{
		Name:        "bench",
		Description: "Offers the jobs of a file to measure the runner with.",
		Source: sdk.Jobs(func(_ context.Context, _ string, c config) (*bench, error) {
			return &bench{config: c, running: map[string]*log{}}, nil
		}),
	})
}
