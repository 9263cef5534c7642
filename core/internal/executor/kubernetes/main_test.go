package kubernetes

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/job"
)

var update = flag.Bool("update", false, "write the golden files, and what is made of the code in docs/kubernetes.md, anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// defaults are the settings when nobody has said anything.
func defaults() config.Kubernetes {
	s := config.Builtin().Pipelines[0].Kubernetes
	s.HelperImage = "registry.example.com/runner-helper:1"
	return s
}

// objectsOf are those of a job, with keys that are told apart at a glance.
func objectsOf(j *job.Job, settings config.Kubernetes) *objects {
	return &objects{
		settings: settings, job: j, name: objectName("source", j.ID), mode: "api",
		runner: "runner-1", pipeline: "default", source: "source",
		keys: agent.Keys{Certificate: []byte("the certificate"), Private: []byte("the private key")},
	}
}

// golden compares a text with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), run with -update when it is right:\n%s", path, diff)
	}
}
