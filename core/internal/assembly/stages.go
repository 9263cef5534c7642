package assembly

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/pipeline"
	"github.com/podrunner/runner/core/internal/pluginhost"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// PipelineStages returns the stages as the pipeline wants them.
func PipelineStages(stages []Stage) []pipeline.Stage {
	out := make([]pipeline.Stage, len(stages))
	for i, s := range stages {
		traits := s.Plugin.Description().GetProcessor()
		out[i] = pipeline.Stage{
			Name:         s.Name,
			Connector:    connector{s.Plugin},
			OnError:      pipeline.OnError(s.OnError),
			Redacts:      traits.GetRedacts(),
			NeedsSecrets: traits.GetNeedsSecrets(),
			Checkpoints:  traits.GetCheckpoints(),
			ReadsOutcome: traits.GetReadsOutcome(),
		}
	}
	return out
}

// connector reaches the processes of a plugin.
type connector struct{ plugin *pluginhost.Plugin }

func (c connector) Connect(ctx context.Context) (pipeline.Connection, error) {
	conn, err := c.plugin.Connect(ctx)
	if err != nil {
		return nil, brief(err)
	}
	return connection{conn}, nil
}

// connection is one process of a plugin, as the pipeline sees it.
type connection struct{ *pluginhost.Connection }

func (c connection) Client() pluginv1.ProcessorClient { return pluginv1.NewProcessorClient(c.Conn()) }

// Explain implements pipeline.Connection. What did not come from gRPC is what the pipeline itself holds against the
// processor, and needs no explanation.
func (c connection) Explain(ctx context.Context, err error) error {
	if _, fromCall := status.FromError(err); !fromCall {
		return err
	}
	return brief(c.Connection.Explain(ctx, "Process", err))
}

// SourceConnector returns the source as the engine wants it.
func SourceConnector(source *pluginhost.Plugin) engine.SourceConnector {
	return sourceConnector{source}
}

// sourceConnector reaches the processes of a source.
type sourceConnector struct{ plugin *pluginhost.Plugin }

func (c sourceConnector) Connect(ctx context.Context) (engine.SourceConnection, error) {
	conn, err := c.plugin.Connect(ctx)
	if err != nil {
		return nil, brief(err)
	}
	return sourceConnection{conn}, nil
}

// sourceConnection is one process of a source, as the engine sees it.
type sourceConnection struct{ *pluginhost.Connection }

func (c sourceConnection) Client() pluginv1.SourceClient { return pluginv1.NewSourceClient(c.Conn()) }

// Explain implements engine.SourceConnection. What a source answers is most often what its remote system has said, and
// that alone matters to people; only for what comes from gRPC itself the process is asked.
func (c sourceConnection) Explain(ctx context.Context, call string, err error) error {
	s, fromCall := status.FromError(err)
	if fromCall && s.Code() == codes.Unknown {
		return errors.New(s.Message())
	}
	if fromCall && s.Code() == codes.FailedPrecondition {
		return &engine.RefusedError{Message: s.Message()}
	}
	return brief(c.Connection.Explain(ctx, call, err))
}

// brief makes an error of the plugin host one line that stands after the plugin's name in a job's log and result. The
// host itself has logged the whole of it.
func brief(err error) error {
	var whole *pluginhost.Error
	if !errors.As(err, &whole) {
		return err
	}
	text := whole.Detail
	if whole.Err != nil {
		text += ": " + whole.Err.Error()
	}
	if first, _, _ := strings.Cut(whole.Output, "\n"); strings.HasPrefix(first, "panic: ") || strings.HasPrefix(first, "fatal error: ") {
		text += ": " + first
	}
	return errors.New(text)
}
