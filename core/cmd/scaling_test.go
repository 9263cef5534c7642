package cmd

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/engine"
	"github.com/podrunner/runner/core/internal/scale"
)

// askedForNothing is a recommender that nobody asks.
type askedForNothing struct{}

func (askedForNothing) Recommend(context.Context, int, int) (int, error) {
	return 0, errors.New("not asked")
}

// TestScaling: a runner scales only if it is to, and says at the start what it lacks for that.
func TestScaling(t *testing.T) {
	opinions := []scale.Source{{Pipeline: "default", Name: "queue", Concurrency: 3, Recommender: askedForNothing{}}}
	for name, test := range map[string]struct {
		enabled  bool
		opinions []scale.Source
		code     int
		want     string
	}{
		"off":        {false, opinions, exitSuccess, ""},
		"no opinion": {true, nil, exitUsage, "no source of the pipelines can say how many runners there should be. Set enabled = false"},
		"no cluster": {true, opinions, exitInfrastructure, "scale the runners: there is no cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
			t.Setenv("HOME", t.TempDir())
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			var said bytes.Buffer
			s := &service{
				app: &app{streams: streams{err: &said}, log: hclog.NewNullLogger()}, opinions: test.opinions,
				config: &config.Config{Scaling: config.Scaling{Enabled: test.enabled, Pod: "a", Namespace: "b", Deployment: "c"}},
			}
			of := &engine.Service{}
			err := s.scale(t.Context(), of)
			if test.code == exitSuccess {
				if err != nil || of.Load != nil || len(s.closers) > 0 {
					t.Errorf("got %v, and something has begun", err)
				}
				return
			}
			var exit *exitError
			if !errors.As(err, &exit) || exit.code != test.code {
				t.Fatalf("got %v, want %d", err, test.code)
			}
			if text := strings.Join(strings.Fields(said.String()+err.Error()), " "); !strings.Contains(text, test.want) {
				t.Errorf("it says %q, want %q", text, test.want)
			}
		})
	}
}
