package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// serviceLimit bounds one run of `core run`.
const serviceLimit = 5 * time.Minute

// service is `core run` with the benchmarks' own source, which ends when the last job is over.
type service struct {
	dir, config string
	cmd         *exec.Cmd
	stderr      bytes.Buffer
	cancel      context.CancelFunc
}

// serviceJob is a job as the source reads it.
type serviceJob struct {
	ID        string            `json:"id"`
	Commands  []string          `json:"commands"`
	Variables []serviceVariable `json:"variables"`
}

type serviceVariable struct {
	Key, Value string
	Sensitive  bool
}

// serviceResult is what the source leaves of a job. Times are nanoseconds since the Unix epoch.
type serviceResult struct {
	Outcome, Message  string
	Offered, Reported int64
}

// serviceOptions say how a service is configured.
type serviceOptions struct {
	concurrency int
	// interval is the deliver block's max_interval; empty means its default.
	interval string
	// format is that of the prefix; empty means its default.
	format string
}

// newService writes what a service needs into a folder of its own.
func newService(w *workload, name string, o serviceOptions, jobs []serviceJob) (*service, error) {
	s := &service{dir: filepath.Join(w.dir, name)}
	if err := os.MkdirAll(s.path("logs"), 0o700); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, j := range jobs {
		if err := json.NewEncoder(&text).Encode(j); err != nil {
			return nil, err
		}
	}
	deliver, prefix := "", ""
	if o.interval != "" {
		deliver = fmt.Sprintf("  deliver {\n    max_interval = %q\n  }\n", o.interval)
	}
	if o.format != "" {
		prefix = fmt.Sprintf("\n    config {\n      format = %q\n    }\n  ", o.format)
	}
	s.config = s.path("runner.hcl")
	config := fmt.Sprintf("runner {\n  concurrency = %d\n  plugin_dir  = %q\n}\ntelemetry {\n  address = \"\"\n}\nlocal {\n  xtrace = false\n}\n"+
		"pipeline \"default\" {\n  executor = \"local\"\n  source \"bench\" {\n    config {\n      jobs = %q\n      logs = %q\n    }\n  }\n"+
		"  processor \"outcome\" {}\n  processor \"sanitize\" {}\n  processor \"prefix\" {%s}\n%s}\n",
		o.concurrency, w.plugins, s.path("jobs.ndjson"), s.path("logs"), prefix, deliver)
	err := os.WriteFile(s.path("jobs.ndjson"), text.Bytes(), 0o600)
	if err == nil {
		err = os.WriteFile(s.config, []byte(config), 0o600)
	}
	return s, err
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// start starts core.
func (s *service) start(ctx context.Context) error {
	ctx, s.cancel = context.WithTimeout(ctx, serviceLimit)
	s.cmd = exec.CommandContext(ctx, "bin/core", "run", "-c", s.config)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) } // with its jobs
	s.cmd.Stderr = &s.stderr
	return s.cmd.Start()
}

// wait waits for the end of core, and returns the CPU time of all of its processes, those of the jobs among them.
func (s *service) wait() (time.Duration, error) {
	defer s.cancel()
	if err := s.cmd.Wait(); err != nil {
		return 0, fmt.Errorf("core run: %w\n%s", err, s.stderr.Bytes())
	}
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime(), nil
}

// run runs core to its end.
func (s *service) run(ctx context.Context) (time.Duration, error) {
	if err := s.start(ctx); err != nil {
		return 0, err
	}
	return s.wait()
}

func (s *service) log(id string) string { return s.path("logs/" + id + ".log") }

// result returns what has become of a job, which has to have gone well.
func (s *service) result(id string) (r serviceResult, err error) {
	text, err := os.ReadFile(s.path("logs/" + id + ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("job %s has no result:\n%s", id, s.stderr.Bytes())
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err == nil && r.Outcome != "success" {
		err = fmt.Errorf("job %s has ended as %s: %s\n%s", id, r.Outcome, r.Message, s.stderr.Bytes())
	}
	return r, err
}

// arrivals calls with each line of a job's log and the time at which the source had it.
func (s *service) arrivals(id string, with func(line string, at int64) error) error {
	lines, err := os.Open(s.log(id))
	if err != nil {
		return err
	}
	defer func() { _ = lines.Close() }()
	arrivals, err := os.ReadFile(s.path("logs/" + id + ".arrivals"))
	if err != nil {
		return err
	}
	in := bufio.NewReader(lines)
	for arrival := range strings.Lines(string(arrivals)) {
		var at, first int64
		var n int
		if _, err := fmt.Sscan(arrival, &at, &first, &n); err != nil {
			return fmt.Errorf("read arrivals: %w", err)
		}
		for range n {
			line, err := in.ReadString('\n')
			if err != nil {
				return fmt.Errorf("read %s: %w", s.log(id), err)
			}
			if err := with(strings.TrimSuffix(line, "\n"), at); err != nil {
				return err
			}
		}
	}
	return nil
}

// installPlugins puts the plugins and the benchmarks' own source into a folder, and the program for jobs beside it.
func installPlugins(ctx context.Context, w *workload) error {
	built, err := filepath.Glob("bin/plugins/*")
	if err != nil {
		return err
	}
	if err := os.Mkdir(w.plugins, 0o700); err != nil {
		return err
	}
	for _, path := range built {
		if err := os.Link(path, filepath.Join(w.plugins, filepath.Base(path))); err != nil {
			return err
		}
	}
	for path, pkg := range map[string]string{filepath.Join(w.plugins, "runner-source-bench"): "source", w.emit: "emit"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", path, "./test/bench/"+pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}
