package kubernetes

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/job"
)

var update = flag.Bool("update", false, "write the golden files, and what is made of the code in docs/kubernetes.md, anew")

// asHelper is the variable that has the test binary be the helper of a pod, as it says. It is a process of its own, since
// the cluster ends it by force: it waits for core to fetch what the steps wrote.
const asHelper = "RUNNER_TEST_HELPER"

func TestMain(m *testing.M) {
	if text := os.Getenv(asHelper); text != "" {
		var c agent.Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			log.Fatal(err)
		}
		c.Grace, c.Log = time.Second, log.New(io.Discard, "", 0)
		ctx, _ := signal.NotifyContext(context.Background(), unix.SIGTERM)
		log.Fatal(agent.Serve(ctx, c))
	}
	goleak.VerifyTestMain(m)
}

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
		runner: "runner-1", instance: "instance-1", pipeline: "default", source: "source",
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
