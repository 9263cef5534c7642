package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// exchange is one that the runner before this one has had with the API.
type exchange struct {
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		RawBody string            `json:"rawBody"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	} `json:"response"`
}

func recorded(t *testing.T, name string) exchange {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "wire", name+".json"))
	must(t, err)
	var x exchange
	must(t, json.Unmarshal(data, &x))
	return x
}

// fault is the recorded answer.
func (x exchange) fault() *opsleveltest.Fault {
	body := string(x.Response.Body)
	var text string
	if json.Unmarshal(x.Response.Body, &text) == nil {
		body = text
	}
	return &opsleveltest.Fault{Status: x.Response.Status, Body: body, RetryAfter: x.Response.Headers["Retry-After"]}
}

// play answers the first request of an operation as it was recorded.
func play(s *opsleveltest.Server, x exchange, operation string) {
	s.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
		if r.Operation == operation && r.Number == 1 {
			return x.fault()
		}
		return nil
	})
}

// differs is what of a header is ours.
var differs = map[string]*regexp.Regexp{
	// Another version of the client, and our name beside the old one.
	"User-Agent": regexp.MustCompile(`^opslevel-go/v2025\.12\.17 go/go\S+ \w+/\w+( client/opslevel-runner-dev podrunner/dev)?$`),
}

var sentAt = regexp.MustCompile(`"sentAt":"[^"]*"`)

// same compares a request with the recorded one: method, path, headers and the very bytes of the body.
func same(t *testing.T, x exchange, r *opsleveltest.Request) {
	t.Helper()
	if r.Method != x.Request.Method || r.Path != x.Request.Path {
		t.Errorf("%s %s, recorded %s %s", r.Method, r.Path, x.Request.Method, x.Request.Path)
	}
	for name, want := range x.Request.Headers {
		got := r.Header.Get(name)
		if pattern := differs[name]; pattern != nil {
			if !pattern.MatchString(got) {
				t.Errorf("%s: %q", name, got)
			}
			continue
		}
		if name == "Content-Length" { // it is that of the body, which may hold another time
			continue
		}
		if got != want {
			t.Errorf("%s: %q, recorded %q", name, got, want)
		}
	}
	for name := range r.Header {
		if _, known := x.Request.Headers[name]; !known {
			t.Errorf("%s: %q is not in the recorded request", name, r.Header.Get(name))
		}
	}
	if d := cmp.Diff(sentAt.ReplaceAllString(x.Request.RawBody, "SENT"), sentAt.ReplaceAllString(string(r.Body), "SENT")); d != "" {
		t.Errorf("the body (-recorded +ours):\n%s", d)
	}
}

// nth returns a request of an operation, counted from 1.
func nth(t *testing.T, s *opsleveltest.Server, operation string, n int) *opsleveltest.Request {
	t.Helper()
	await(t, s, operation, func() bool { return count(s, operation) >= n })
	for _, r := range s.Requests() {
		if r.Operation == operation && r.Number == n {
			return r
		}
	}
	panic("it was counted")
}

// What stands for a field in the recordings.
const (
	pending = "RunnerGetPendingJob"
	appends = "RunnerAppendJobLog"
	reports = "RunnerReportJobOutcome"
)

// TestOperationsAgainstTheRecordings has the plugin's program do what was recorded, with the recorded answers, and
// compares the requests to the letter.
func TestOperationsAgainstTheRecordings(t *testing.T) {
	t.Run("rest-ping, validate, runner-register", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{})
		run(t, s, sdktest.SourceOptions{}, nil).Status(true)
		same(t, recorded(t, "rest-ping"), nth(t, s, "ping", 1))
		same(t, recorded(t, "validate"), nth(t, s, "", 1))
		same(t, recorded(t, "runner-register"), nth(t, s, "RunnerRegister", 1))
	})
	t.Run("runner-register-queue", func(t *testing.T) {
		t.Parallel()
		s, x := newAPI(t, opsleveltest.Options{}), recorded(t, "runner-register-queue")
		var body struct{ Variables struct{ Queue string } }
		must(t, json.Unmarshal([]byte(x.Request.RawBody), &body))
		run(t, s, sdktest.SourceOptions{}, map[string]any{"queue": body.Variables.Queue}).Status(true)
		same(t, x, nth(t, s, "RunnerRegister", 1))
	})
	t.Run("runner-get-pending-job-first", func(t *testing.T) {
		t.Parallel()
		s, x := newAPI(t, opsleveltest.Options{}), recorded(t, "runner-get-pending-job-first")
		play(s, x, pending)
		r := run(t, s, sdktest.SourceOptions{}, nil)
		offer := r.Offer()
		same(t, x, nth(t, s, pending, 1))
		want := sdk.Offer{
			Key: sdk.JobKey{ID: "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMzQ1", Attempt: 1}, Number: "12345",
			Image: "alpine:3.20", Commands: []string{"echo hello", "/opslevel/check.sh"},
			InitImage: "alpine/git:latest", InitCommands: []string{`git clone "$REPO_CLONE_URL" .`},
			Variables: []sdk.JobVariable{
				{Key: "REPO_CLONE_URL", Value: "https://x:secret@example.com/repo.git", Sensitive: true, Scope: "init"},
				{Key: "API_KEY", Value: "s3cr3t", Sensitive: true, Scope: "main"},
				{Key: "REPO", Value: "example/repo"},
			},
			Files: []sdk.JobFile{{Name: "check.sh", Contents: []byte("#!/bin/sh\necho from file\n")}},
		}
		offer.Handle = nil
		if d := cmp.Diff(want, offer); d != "" {
			t.Errorf("the offer (-want +got):\n%s", d)
		}
	})
	for name, token := range map[string]any{
		"runner-get-pending-job-none":            "MTIzNDQzMjI",
		"runner-get-pending-job-none-null-token": nil,
		"runner-get-pending-job-numeric-id":      "12345",
		"runner-get-pending-job-unknown-field":   "MTIzNDQzMjI",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, x := newAPI(t, opsleveltest.Options{}), recorded(t, name)
			var body struct{ Variables struct{ Token *string } }
			must(t, json.Unmarshal([]byte(x.Request.RawBody), &body))
			s.Judge(func(r *opsleveltest.Request) *opsleveltest.Fault {
				if r.Operation != pending {
					return nil
				}
				switch r.Number {
				case 1: // so that the next request has the recorded token
					return &opsleveltest.Fault{Status: 200, Body: `{"data":{"runnerGetPendingJob":{"runnerJob":null,"lastUpdateToken":` + text(body.Variables.Token) + `,"errors":[]}}}`}
				case 2:
					return x.fault()
				}
				return &opsleveltest.Fault{Status: 200, Body: `{"data":{"runnerGetPendingJob":{"runnerJob":null,"lastUpdateToken":null,"errors":[]}}}`}
			})
			r := run(t, s, sdktest.SourceOptions{}, nil)
			same(t, x, nth(t, s, pending, 2))
			if got := nth(t, s, pending, 3).Variables["token"]; !sameToken(got, token, x) {
				t.Errorf("the next poll has the token %v; the answer was %s", got, x.Response.Body)
			}
			if status := r.Status(true); !status.Connected {
				t.Errorf("the source says that it is not connected: %s", status.Message)
			}
		})
	}
	t.Run("runner-append-job-log", func(t *testing.T) {
		t.Parallel()
		s, x := newAPI(t, opsleveltest.Options{}), recorded(t, "runner-append-job-log")
		s.Add(simple("a"))
		r := run(t, s, sdktest.SourceOptions{}, nil)
		offer := r.Offer()
		logs := logsOf(offer, 1, "2026-07-09T12:34:56Z [1] hello", "2026-07-09T12:34:56Z [1] world")
		logs.SentAt = time.Date(2026, 7, 9, 12, 34, 56, 789012345, time.UTC)
		refused, err := r.AppendLogs(t.Context(), logs)
		must(t, err)
		if len(refused) > 0 {
			t.Errorf("refused: %v", refused)
		}
		request := nth(t, s, appends, 1)
		same(t, x, request)
		at, err := time.Parse(time.RFC3339Nano, sentAtOf(t, request))
		must(t, err)
		if !at.Equal(logs.SentAt) {
			t.Errorf("sentAt is %s, and core's time %s", at, logs.SentAt)
		}
	})
	t.Run("runner-append-job-log-errors", func(t *testing.T) {
		t.Parallel()
		s, x := newAPI(t, opsleveltest.Options{}), recorded(t, "runner-append-job-log-errors")
		s.Add(simple("a"))
		play(s, x, appends)
		r := run(t, s, sdktest.SourceOptions{}, nil)
		offer := r.Offer()
		refused, err := r.AppendLogs(t.Context(), logsOf(offer, 7, "hello"))
		must(t, err)
		want := []sdk.RefusedLines{{FirstLine: 7, Count: 1, Message: "OpsLevel API, RunnerAppendJobLog: job is already complete (runnerJobId)"}}
		if d := cmp.Diff(want, refused); d != "" {
			t.Errorf("refused (-want +got):\n%s", d)
		}
		same(t, x, nth(t, s, appends, 1))
	})
	for name, outcome := range map[string]string{
		"runner-report-job-outcome-success": "success", "runner-report-job-outcome-failed": "failed", "runner-report-job-outcome-pod-timeout": "pod_timeout",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, x := newAPI(t, opsleveltest.Options{}), recorded(t, name)
			s.Add(simple("a"))
			r := run(t, s, sdktest.SourceOptions{}, nil)
			var variables []sdk.Variable
			if outcome == "success" {
				variables = []sdk.Variable{{Key: "hello-world", Value: []byte("42")}, {Key: "multi", Value: []byte("{\n  \"a\": 1\n}")}}
			}
			must(t, r.Report(t.Context(), reportOf(r.Offer(), outcome, variables...)))
			same(t, x, nth(t, s, reports, 1))
		})
	}
	t.Run("runner-scale", func(t *testing.T) {
		t.Parallel()
		s, x := newAPI(t, opsleveltest.Options{}), recorded(t, "runner-scale")
		s.Recommend(func(current, concurrency int) int { return current * concurrency / 100 })
		r := run(t, s, sdktest.SourceOptions{}, nil)
		r.Status(true)
		got, err := r.Scale(t.Context(), 2, 300)
		must(t, err)
		if got != 6 {
			t.Errorf("%d runners are recommended, want 6", got)
		}
		same(t, x, nth(t, s, "RunnerScale", 1))
	})
	t.Run("runner-unregister", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{})
		r := run(t, s, sdktest.SourceOptions{}, nil)
		r.Status(true)
		must(t, r.Shutdown())
		same(t, recorded(t, "runner-unregister"), nth(t, s, "RunnerUnregister", 1))
	})
	t.Run("graphql-error-with-path", func(t *testing.T) {
		t.Parallel()
		s, x := newAPI(t, opsleveltest.Options{}), recorded(t, "graphql-error-with-path")
		play(s, x, "RunnerUnregister")
		r := run(t, s, sdktest.SourceOptions{}, nil)
		r.Status(true)
		must(t, r.Shutdown()) // it is not registered, which is what was wanted
		if n := count(s, "RunnerUnregister"); n != 1 {
			t.Errorf("it unregisters %d times", n)
		}
	})
}

func text(s *string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

// sameToken compares the token of a request with what the answer before had. The recordings have one of their own.
func sameToken(got, want any, x exchange) bool {
	var answer struct {
		Data struct {
			Payload struct {
				Token any `json:"lastUpdateToken"`
			} `json:"runnerGetPendingJob"`
		} `json:"data"`
	}
	if json.Unmarshal(x.Response.Body, &answer) != nil {
		return false
	}
	if s, ok := answer.Data.Payload.Token.(string); ok {
		want = s
	}
	return got == want
}

func sentAtOf(t *testing.T, r *opsleveltest.Request) string {
	t.Helper()
	var body struct {
		Variables struct {
			Input struct {
				SentAt string `json:"sentAt"`
			} `json:"input"`
		} `json:"variables"`
	}
	must(t, json.Unmarshal(r.Body, &body))
	return body.Variables.Input.SentAt
}

// TestErrorsAtRegistration plays the recorded errors to a source that registers: it says what is wrong, tries again, and
// goes on when the error is over.
func TestErrorsAtRegistration(t *testing.T) {
	for _, tc := range []struct {
		recording, operation string
		says                 []string
		// atLeast is how long it has to wait.
		atLeast time.Duration
	}{
		{"graphql-invalid-token", "", []string{"does not accept the API token", "OPSLEVEL_API_TOKEN"}, 0},
		{"http-401-not-retried", "", []string{"401 Unauthorized", "OPSLEVEL_API_TOKEN"}, 0},
		{"http-500-not-retried", "RunnerRegister", []string{"500 Internal Server Error"}, 0},
		{"http-429-retried", "RunnerRegister", []string{"429 Too Many Requests"}, 0},
		{"http-429-retry-after", "RunnerRegister", []string{"429 Too Many Requests"}, 2 * time.Second},
		{"graphql-error-without-path", "RunnerRegister", []string{"Field 'runnerRegister' doesn't exist on type 'Mutation'"}, 0},
		{"runner-register-errors", "RunnerRegister", []string{"is not permitted; is too long (runner.queue)"}, 0},
	} {
		t.Run(tc.recording, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{})
			play(s, recorded(t, tc.recording), tc.operation)
			begun := time.Now()
			r := run(t, s, sdktest.SourceOptions{}, nil)
			status := r.Status(false)
			for _, part := range tc.says {
				if !strings.Contains(status.Message, part) {
					t.Errorf("it says %q, without %q", status.Message, part)
				}
			}
			r.Status(true)
			if waited := time.Since(begun); waited < tc.atLeast {
				t.Errorf("it tried again after %s; the API had asked for %s", waited, tc.atLeast)
			}
			if n := len(s.Runners()); n != 1 {
				t.Errorf("%d runners are registered", n)
			}
		})
	}
}

// TestAllRecordingsAreUsed fails when a recording has no test above.
func TestAllRecordingsAreUsed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "wire", "*.json"))
	must(t, err)
	source, err := os.ReadFile("wire_test.go")
	must(t, err)
	elsewhere := []string{"index"}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !slices.Contains(elsewhere, name) && !strings.Contains(string(source), `"`+name+`"`) && !strings.Contains(string(source), "/"+name) {
			t.Errorf("%s has no test", name)
		}
	}
}
