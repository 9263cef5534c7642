package sdktest

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// runTimeout bounds one pass over a job's log; a processor that needs it hangs.
const runTimeout = 60 * time.Second

// Job is the job of a test.
type Job struct {
	// Config is the plugin's `config {}`, by the names that stand in runner.hcl. A duration is a time.Duration, a size a
	// number of bytes, a block a map, several blocks a slice of maps or, with labels, a map of maps.
	Config map[string]any
	// Info is what the processor is told of the job. Its secrets reach only a plugin with NeedsSecrets.
	Info sdk.Job
	// End is how the job ends; with no Outcome: with success.
	End sdk.End
}

// Run gives the lines of a job to a processor and returns what comes out. It fails the test at once when the plugin
// refuses the configuration, when the processor returns an error or panics, when an edit is wrong, and when all of it takes
// longer than a minute.
func Run(t testing.TB, plugin sdk.Plugin, job Job, lines ...Line) *Result {
	t.Helper()
	conn := serve(t, plugin, job.Config)
	p := &progress{}
	if err := pass(t.Context(), conn, scriptOf(plugin, job, lines, protocol.MaxBatchLines), p, -1); err != nil {
		t.Fatalf("sdktest.Run: %v", err)
	}
	return resultOf(p)
}

// Replay is Run, and then it breaks the job off after each line, in turn, and goes on with a new value and the last
// checkpoint, as core does when a plugin's process dies. It fails the test when that changes what comes out. Its cost
// grows with the square of the number of lines.
func Replay(t testing.TB, plugin sdk.Plugin, job Job, lines ...Line) *Result {
	t.Helper()
	want := Run(t, plugin, job, lines...)
	conn := serve(t, plugin, job.Config)
	s := scriptOf(plugin, job, lines, 1)
	for stop := range len(s.batches) + 1 {
		p := &progress{}
		err := pass(t.Context(), conn, s, p, stop)
		if errors.Is(err, errStopped) {
			err = pass(t.Context(), conn, s, p, -1)
		}
		if err != nil {
			t.Fatalf("sdktest.Replay: broken off after line %d: %v", stop, err)
		}
		if err := same(resultOf(p), want); err != nil {
			t.Fatalf("sdktest.Replay: broken off after line %d and gone on with from a checkpoint of %d bytes: %v",
				stop, len(p.checkpoint), err)
		}
	}
	return want
}

// pass is play with a deadline.
func pass(ctx context.Context, conn grpc.ClientConnInterface, s *script, p *progress, stopAfter int) error {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	return play(ctx, conn, s, p, stopAfter)
}

func scriptOf(plugin sdk.Plugin, job Job, lines []Line, maxLines int) *script {
	s := newScript(job.Info.ID, records(lines), maxLines, protocol.WindowBatches)
	s.open.Attempt = uint32(max(job.Info.Attempt, 1))
	s.open.Pipeline, s.open.Runner = job.Info.Pipeline, job.Info.Runner
	s.open.Worker, s.open.Labels = uint32(job.Info.Worker), job.Info.Labels
	if plugin.NeedsSecrets {
		s.open.Secrets = secretsOf(job.Info.Secrets)
	}
	if job.End.Outcome != "" {
		s.result = protoOf(job.End)
	}
	return s
}

func secretsOf(secrets []sdk.Secret) []*pluginv1.Secret {
	var list []*pluginv1.Secret
	for _, s := range secrets {
		list = append(list, &pluginv1.Secret{Key: s.Key, Value: s.Value})
	}
	return list
}

func protoOf(end sdk.End) *pluginv1.JobResult {
	r := &pluginv1.JobResult{
		Outcome: end.Outcome, Reason: end.Reason, Message: end.Message, ExitCode: end.ExitCode,
	}
	for _, v := range end.Variables {
		r.Variables = append(r.Variables, &pluginv1.Variable{Key: v.Key, Value: v.Value})
	}
	return r
}
