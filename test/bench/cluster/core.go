package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	// runLimit bounds one run of core.
	runLimit = 3 * time.Minute
	// stopLimit is what core has to end its job once it is interrupted.
	stopLimit = 20 * time.Second
)

const trivialCommand = "echo hello"

// Lines of the large log are a number of ten digits and this.
const (
	lineRest  = " compile link test ok fetch module cache build step warning deprecated using file path to\n"
	lineBytes = 10 + len(lineRest)
)

func logCommand(lines int) string {
	return fmt.Sprintf(`awk 'BEGIN { for (i = 0; i < %d; i++) printf "%%010d%s\n", i }'`, lines, lineRest[:len(lineRest)-1])
}

// jobFile is a job of one command, in JSON, which is YAML.
func jobFile(image, command string) string {
	text, _ := json.Marshal(map[string]any{"image": image, "commands": []string{command}}) // there is nothing in it that fails
	return string(text)
}

// coreRun is what a run of core has told and cost.
type coreRun struct {
	Event    string `json:"event"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	Records  int    `json:"records"`
	Duration struct {
		Total int64 `json:"total"`
	} `json:"duration_ms"`

	// wall and cpu are those of the process, cpu with its plugins; fetched is from the first line's time to the last line.
	wall, cpu, fetched time.Duration
	// memory is the peak of core, MiB. The kernel's number is that of the largest of core, its plugins, and this program
	// when it started core, which is smaller.
	memory float64
}

func (w *work) runTrivial(ctx context.Context, transport string) (*coreRun, error) {
	return w.run(ctx, transport, w.trivial, func(i int) []byte { return []byte("hello\n") }, 1)
}

func (w *work) runLog(ctx context.Context, transport string) (*coreRun, error) {
	want := make([]byte, 0, lineBytes)
	return w.run(ctx, transport, w.log, func(i int) []byte {
		want = append(fmt.Appendf(want[:0], "%010d", i), lineRest...)
		return want
	}, w.lines)
}

// run runs a job and holds what it prints against the lines that it should print.
func (w *work) run(ctx context.Context, transport, job string, want func(int) []byte, lines int) (*coreRun, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	c := exec.CommandContext(ctx, "bin/core", "test", "--executor", "kubernetes", "--output", "json", "-c", w.configs[transport], "-f", job)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = stopLimit
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := c.Start(); err != nil {
		return nil, err
	}
	e := events{want: want}
	readErr := e.read(out)
	if readErr != nil {
		cancel()
		_, _ = io.Copy(io.Discard, out) // what is wrong is known
	}
	err = c.Wait()
	r := &e.result
	r.wall = time.Since(begun)
	switch {
	case readErr != nil:
		err = readErr
	case err == nil && (r.Outcome != "success" || e.lines != lines || r.Records != lines):
		err = fmt.Errorf("outcome %q %s, and %d lines and %d records in the place of %d", r.Outcome, r.Message, e.lines, r.Records, lines)
	}
	if err != nil {
		return nil, fmt.Errorf("core test, %s: %w; its result: %+v\n%s", transport, err, *r, stderr.Bytes())
	}
	r.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	r.fetched = e.last.Sub(e.first)
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil, errors.New("this system does not tell how much memory a process has taken")
	}
	r.memory = float64(usage.Maxrss) / 1024
	return r, nil
}

// events reads what core prints. It runs beside what is measured, so it looks at no more of a log event than it must.
type events struct {
	// want returns the line of a number, with its line end.
	want  func(int) []byte
	lines int
	// first is when the job wrote its first line, last when the last one came out of core.
	first, last time.Time
	result      coreRun
}

var (
	logEvent   = []byte(`{"event":"log",`)
	beforeLine = []byte(`"stream":"stdout","time":"`)
	lineField  = []byte(`,"line":"`)
)

func (e *events) read(from io.Reader) error {
	in := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) == 0:
			return nil
		case err != nil:
			return fmt.Errorf("read what core prints: %w", err)
		case bytes.HasPrefix(text, logEvent):
			err = e.line(text)
		default:
			var other coreRun
			if err = json.Unmarshal(text, &other); err == nil && other.Event == "result" {
				e.result = other
			}
		}
		if err != nil {
			return err
		}
	}
}

// line takes a log event.
func (e *events) line(text []byte) error {
	_, line, ok := bytes.Cut(text, lineField)
	line, whole := bytes.CutSuffix(line, []byte("\"}\n"))
	want := e.want(e.lines)
	if !ok || !whole || !bytes.Contains(text, beforeLine) || !bytes.Equal(line, want[:len(want)-1]) {
		return fmt.Errorf("line %d of the log should be %q, and core printed %q", e.lines, want, text)
	}
	e.last = time.Now()
	if e.lines == 0 {
		var event struct{ Time time.Time }
		if err := json.Unmarshal(text, &event); err != nil {
			return err
		}
		// The node's clock may be ahead of this one.
		e.first = event.Time
		if e.last.Before(e.first) {
			e.first = e.last
		}
	}
	e.lines++
	return nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
