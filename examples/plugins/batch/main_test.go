package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// start runs the source with two jobs, and returns the folder for results as well.
func start(t *testing.T) (source *sdktest.SourceRun, results string) {
	t.Helper()
	results = t.TempDir()
	jobs := filepath.Join(t.TempDir(), "jobs.ndjson")
	text := `{"id": "a", "image": "alpine", "commands": ["true"], "variables": [{"key": "T", "value": "t", "sensitive": true}]}` + "\nno job\n" + `{"id": "../b"}` + "\n" + `{"id": "c"}` + "\n"
	if err := os.WriteFile(jobs, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options := sdktest.SourceOptions{Config: map[string]any{"jobs": jobs, "results": results}, Concurrency: 2}
	return sdktest.Source(t, plugin, options), results
}

func TestJobs(t *testing.T) {
	source, results := start(t)
	if offer := source.Offer(); offer.Key != (sdk.JobKey{ID: "a", Attempt: 1}) || offer.Image != "alpine" || len(offer.Commands) != 1 || offer.Variables[0] != (sdk.JobVariable{Key: "T", Value: "t", Sensitive: true}) {
		t.Errorf("offered %+v", offer)
	}
	last := source.Offer()
	if last.Key.ID != "c" {
		t.Errorf("offered %+v", last)
	}
	source.Drained()
	report := sdk.Report{Job: last.Key, Outcome: "failed", Reason: "exit"}
	for range 2 { // the answer to the first may have been lost
		if err := source.Report(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(results, "c.json")); err != nil || len(text) == 0 {
		t.Errorf("the result is %q, %v", text, err)
	}
}

func TestLinesComeAgain(t *testing.T) {
	source, results := start(t)
	job := source.Offer().Key
	for _, logs := range []sdk.Logs{
		{FirstLine: 1, Lines: [][]byte{[]byte("one")}},
		{FirstLine: 2, Lines: [][]byte{[]byte("two"), []byte("three")}},
		{FirstLine: 2, Lines: [][]byte{[]byte("two"), []byte("three")}},
		{FirstLine: 4, Lines: [][]byte{[]byte("four")}},
	} {
		logs.Job = job
		if _, err := source.AppendLogs(t.Context(), logs); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := source.AppendLogs(t.Context(), sdk.Logs{Job: job, FirstLine: 9}); err == nil {
		t.Error("a gap was taken")
	}
	text, err := os.ReadFile(filepath.Join(results, "a.log"))
	if want := "one\ntwo\nthree\nfour\n"; err != nil || string(text) != want {
		t.Errorf("the log is %q, %v", text, err)
	}
}

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runner-source-batch")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	jobs := filepath.Join(t.TempDir(), "jobs.ndjson")
	if err := os.WriteFile(jobs, []byte(`{"id": "a"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sdktest.SourceConformance(t, sdktest.Binary{Path: path, Config: map[string]any{"jobs": jobs, "results": t.TempDir()}})
}
