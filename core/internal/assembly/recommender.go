package assembly

import (
	"context"

	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/scale"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Recommender returns what the source says of the number of runners; nil when it has no opinion.
func Recommender(source *pluginhost.Plugin) scale.Recommender {
	if !source.Description().GetSource().GetScales() {
		return nil
	}
	return recommender{SourceConnector(source)}
}

// recommender asks whatever process the source is at the time.
type recommender struct{ connector engine.SourceConnector }

// Recommend implements scale.Recommender.
func (r recommender) Recommend(ctx context.Context, current, concurrency int) (int, error) {
	conn, err := r.connector.Connect(ctx)
	if err != nil {
		return 0, err
	}
	answer, err := conn.Client().Scale(ctx, &pluginv1.ScaleRequest{
		CurrentReplicas: uint32(max(current, 0)), Concurrency: uint32(max(concurrency, 0)), //nolint:gosec // both are bounded by the configuration
	})
	if err != nil {
		return 0, conn.Explain(ctx, "Scale", err)
	}
	return int(answer.GetRecommendedReplicas()), nil
}
