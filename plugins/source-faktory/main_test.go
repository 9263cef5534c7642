package main

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

func TestMain(m *testing.M) {
	// The tests say themselves where the server is.
	for _, name := range []string{"FAKTORY_PROVIDER", "FAKTORY_URL"} {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	removeServer()
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// tuned is the plugin with a source that a test has changed.
func tuned(tune func(*source)) sdk.Plugin {
	p := plugin
	p.Source = sdk.Jobs(func(ctx context.Context, runner string, c config) (*source, error) {
		s, err := connect(ctx, runner, c)
		if err == nil {
			tune(s)
		}
		return s, err
	})
	return p
}

// run starts the source against a server.
func run(t *testing.T, url string, options sdktest.SourceOptions, more map[string]any) *sdktest.SourceRun {
	t.Helper()
	if options.Config == nil {
		options.Config = map[string]any{}
	}
	options.Config["url"] = url
	for k, v := range more {
		options.Config[k] = v
	}
	return sdktest.Source(t, tuned(func(s *source) { s.beat = 100 * time.Millisecond }), options)
}

// logs are lines of an offered job, from a number on.
func logsOf(offer sdk.Offer, first uint64, lines ...string) sdk.Logs {
	logs := sdk.Logs{Job: offer.Key, Handle: offer.Handle, FirstLine: first, SentAt: time.Now()}
	for _, line := range lines {
		logs.Lines = append(logs.Lines, []byte(line))
	}
	return logs
}

// success is the report of an offered job that ran.
func success(offer sdk.Offer, variables ...sdk.Variable) sdk.Report {
	now := time.Now()
	return sdk.Report{Job: offer.Key, Handle: offer.Handle, Outcome: "success", Variables: variables, StartedAt: now, FinishedAt: now}
}

// notRun is the report of an offered job that could not be run.
func notRun(offer sdk.Offer) sdk.Report {
	return sdk.Report{
		Job: offer.Key, Handle: offer.Handle, Outcome: "failed", Reason: "admission", Message: "the quota is used up",
		Infrastructure: true, FinishedAt: time.Now(),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
