package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/contribsys/faktory/client"

	"github.com/podrunner/runner/plugins/source-faktory/internal/faktory"
	"github.com/podrunner/runner/plugins/source-faktory/internal/jobfile"
	"github.com/podrunner/runner/plugins/source-faktory/internal/payload"
	"github.com/podrunner/runner/sdk"
)

// Exit codes of the subcommand, as those of core.
const (
	exitUsage          = 2
	exitInfrastructure = 3
)

// dotFile is the file that the name "." stands for.
const dotFile = "./job.yaml"

// maxCount bounds what a slip of the finger can do to a server.
const maxCount = 100_000

// enqueue is the subcommand: it pushes a job and prints its id.
func enqueue(ctx context.Context, call sdk.CommandCall) int {
	flags := flag.NewFlagSet("enqueue", flag.ContinueOnError)
	flags.SetOutput(call.Stderr)
	var file string
	for _, name := range []string{"f", "file"} {
		flags.StringVar(&file, name, ".", "`file` with the job, YAML or JSON; - reads standard input, . is "+dotFile)
	}
	count := flags.Int("count", 1, "push the job this many times, each with an id of its own")
	switch err := flags.Parse(call.Args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	failed := func(code int, format string, args ...any) int {
		fmt.Fprintf(call.Stderr, format+"\n", args...)
		return code
	}
	switch {
	case flags.NArg() > 0:
		return failed(exitUsage, "enqueue takes no arguments beside its flags; name the file with -f.")
	case *count < 1 || *count > maxCount:
		return failed(exitUsage, "--count takes a number from 1 to %d.", maxCount)
	}
	job, err := readJob(file, call.Stdin)
	if err != nil {
		return failed(exitUsage, "%v", err)
	}
	var c config
	if err := call.Config(&c); err != nil {
		return failed(exitUsage, "%v", err)
	}
	if err := c.trust(); err != nil {
		return failed(exitUsage, "ca_file: %v", err)
	}
	if err := pushAll(ctx, &c, job, *count, call.Stdout); err != nil {
		return failed(exitInfrastructure, "%v", err)
	}
	return 0
}

func readJob(file string, stdin io.Reader) (*jobfile.Job, error) {
	name := file
	switch file {
	case "-":
		name = "<stdin>"
		data, err := io.ReadAll(io.LimitReader(stdin, jobfile.MaxBytes+1))
		if err != nil {
			return nil, fmt.Errorf("read the job from standard input: %w", err)
		}
		return jobfile.Parse(name, data)
	case ".":
		name = dotFile
	}
	data, err := readFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the job: %w; name its file with -f, or use -f - to read it from standard input", err)
	}
	return jobfile.Parse(name, data)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(f, jobfile.MaxBytes+1))
}

// pushAll pushes a job count times, over one connection, which is not that of a worker, and prints the ids.
func pushAll(ctx context.Context, c *config, job *jobfile.Job, count int, out io.Writer) error {
	conn, err := faktory.Dial(ctx, c.server, faktory.Worker{Labels: c.Labels})
	if err != nil {
		return fmt.Errorf("%w; the server is that of `url` in runner.hcl, or of FAKTORY_URL", err)
	}
	defer conn.Close() //nolint:errcheck // all has been answered
	for n := 1; n <= count; n++ {
		one := copyOf(job, n, count)
		if job.Batch != "" {
			bid, err := conn.OpenBatch(ctx, job.Batch)
			if err != nil {
				return err
			}
			one.SetCustom("bid", bid)
		}
		if err := conn.Push(ctx, one); err != nil {
			return err
		}
		fmt.Fprintln(out, one.Jid)
	}
	return nil
}

// copyOf makes the nth of count jobs. Each has a jid of its own and, when they are several and the job has a runner's job
// id, an id of its own, without which they would be taken for one job delivered again.
func copyOf(job *jobfile.Job, n, count int) *client.Job {
	one := job.Job
	one.Jid = client.RandomJid()
	one.Custom = maps.Clone(job.Custom)
	now := time.Now()
	one.CreatedAt = stamp(now)
	if one.Retry == nil {
		retry := client.RetryPolicyDefault
		one.Retry = &retry
	}
	if job.ExpiresIn > 0 {
		one.SetCustom("expires_at", stamp(now.Add(job.ExpiresIn)))
	}
	if id := ownID(job); count > 1 && id != nil {
		one.SetCustom(payload.KeyID, fmt.Sprintf("%v-%d", id, n))
	}
	return &one
}

// ownID is the id that a runner would take a job under, nil when that is the jid.
func ownID(job *jobfile.Job) any {
	if id := job.Custom[payload.KeyID]; id != nil && id != "" {
		return id
	}
	if len(job.Args) > 0 {
		if argument, ok := job.Args[0].(map[string]any); ok {
			if id, ok := argument["id"].(string); ok && id != "" {
				return id
			}
		}
	}
	return nil
}
