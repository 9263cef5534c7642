package assembly

import (
	"context"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
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

// NoOpinion says that runners are to be scaled, and that none of the sources can say how far.
func NoOpinion(c *config.Config) diag.Diagnostics {
	return diag.Diagnostics{{
		Summary: "Nothing to scale by",
		Detail: "Scaling is enabled, and no source of the pipelines can say how many runners there should be. Set enabled = false, or use a source that scales; " +
			"`core plugins describe NAME` tells whether one does.",
		Range: c.Scaling.Range,
	}}
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
