package engine

import (
	"context"
	"fmt"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// call makes one call of the source about a job, as often as it takes: until it works, until failed, which is told of each
// error, gives it up, or until ctx ends. It returns the last error.
func (in *intake) call(ctx context.Context, name string, try func(ctx context.Context, client pluginv1.SourceClient) error, failed func(error) (goOn bool)) error {
	var wait backoff
	for {
		news := in.news()
		err := in.callOnce(ctx, name, try)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (last answer of the source: %w)", context.Cause(ctx), err)
		}
		if !failed(err) {
			return err
		}
		if !wait.wait(ctx, news) {
			return fmt.Errorf("%w (last answer of the source: %w)", context.Cause(ctx), err)
		}
	}
}

// callTimeout bounds one call of a source. A source gives its remote system a minute at most.
const callTimeout = 75 * time.Second

func (in *intake) callOnce(ctx context.Context, name string, try func(ctx context.Context, client pluginv1.SourceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := in.pipeline.Connector.Connect(ctx)
	if err != nil {
		return err
	}
	if err := try(ctx, conn.Client()); err != nil {
		return conn.Explain(ctx, name, err)
	}
	conn.Progress()
	return nil
}
