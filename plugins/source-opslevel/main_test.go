package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// binary is the plugin's program, built for the tests.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "source-opslevel")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "runner-source-opslevel")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// newAPI starts an API.
func newAPI(t *testing.T, options opsleveltest.Options) *opsleveltest.Server {
	t.Helper()
	s, err := opsleveltest.Start(options)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run starts the plugin's program against an API. more is added to its configuration.
func run(t *testing.T, s *opsleveltest.Server, options sdktest.SourceOptions, more map[string]any) *sdktest.SourceRun {
	t.Helper()
	options.Config = map[string]any{"api_url": s.URL(), "api_token": opsleveltest.Token, "poll_interval": time.Second.Nanoseconds()}
	for key, value := range more {
		options.Config[key] = value
	}
	return sdktest.SourceProcess(t, sdktest.Binary{Path: binary}, options)
}

// logsOf are lines of an offered job, from a number on.
func logsOf(offer sdk.Offer, first uint64, lines ...string) sdk.Logs {
	logs := sdk.Logs{Job: offer.Key, Handle: offer.Handle, FirstLine: first, SentAt: time.Now()}
	for _, line := range lines {
		logs.Lines = append(logs.Lines, []byte(line))
	}
	return logs
}

// reportOf is the report of an offered job that ran.
func reportOf(offer sdk.Offer, outcome string, variables ...sdk.Variable) sdk.Report {
	now := time.Now()
	return sdk.Report{Job: offer.Key, Handle: offer.Handle, Outcome: outcome, Variables: variables, StartedAt: now, FinishedAt: now}
}

// count is how often an operation was asked for.
func count(s *opsleveltest.Server, operation string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Operation == operation {
			n++
		}
	}
	return n
}

// await waits until something holds.
func await(t *testing.T, s *opsleveltest.Server, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx, holds); err != nil {
		t.Fatalf("%s: %v; the API got:\n%s", what, err, transcript(s))
	}
}

// transcript lists the requests.
func transcript(s *opsleveltest.Server) string {
	out := ""
	for _, r := range s.Requests() {
		out += fmt.Sprintf("%3d %s %s %.300s\n", r.Total, r.At.Format("05.000"), r.Operation, r.Body)
	}
	return out
}

// simple is a job that needs nothing.
func simple(name string) opsleveltest.Job {
	return opsleveltest.Job{Image: "alpine:3.20", Commands: []string{"echo " + name}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
