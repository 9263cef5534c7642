package opslevel

import (
	"encoding/base64"
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
	"github.com/podrunner/runner/test/e2e/runner"
)

// recorded is a request of the recorded session.
type recorded struct {
	To      string            `json:"to"`
	Method  string            `json:"method"`
	URI     string            `json:"uri"`
	Headers map[string]string `json:"headers"`
	Body    struct {
		OperationName string `json:"operationName"`
		Query         string `json:"query"`
		Variables     any    `json:"variables"`
	} `json:"body"`
}

// TestSessionAgainstTheRecording has the shipped configuration take one job, as opslevel-runner did when its session was
// recorded, and compares all requests. What may differ is named here, and nothing else may:
//
//   - User-Agent: another version of the client, and our name beside the old one.
//   - How often it polls, and when: a poll needs a free slot, and the interval is spread.
//   - sentAt, and the times in the lines.
//   - How the lines are divided into chunks: by size and time, and here the job is another process.
//   - The line that was taken for an outcome variable is not in the log; it was there as a bare prefix.
//   - Content-Length, which follows from the above.
func TestSessionAgainstTheRecording(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	ids := w.api.Add(opsleveltest.Job{Image: "alpine:3.20", Commands: []string{"echo hello", "echo ::set-outcome-var hello-world=42"}})
	r := shipped(w, "OPSLEVEL_POLL_INTERVAL=2")
	w.results(ids)
	n := w.count(pending)
	w.await("a poll after the job", func() bool { return w.count(pending) > n })
	r.Stop()
	w.unregistered()

	var session struct {
		Timeline []recorded `json:"timeline"`
	}
	data, err := os.ReadFile(filepath.Join("testdata", "session-api-mode.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &session))
	var theirs, ours []call
	for _, x := range session.Timeline {
		if x.To == "opslevel" {
			body, err := json.Marshal(x.Body)
			must(t, err)
			theirs = append(theirs, callOf(t, x.Method+" "+x.URI, x.Headers, body))
		}
	}
	for _, x := range w.api.Requests() {
		headers := map[string]string{}
		for name := range x.Header {
			headers[name] = x.Header.Get(name)
		}
		ours = append(ours, callOf(t, x.Method+" "+x.Path, headers, x.Body))
	}
	if d := cmp.Diff(distinct(theirs), distinct(ours)); d != "" {
		t.Errorf("the requests (-recorded +ours):\n%s", d)
	}
	agent := regexp.MustCompile(`^opslevel-go/v\S+ go/go\S+ \w+/\w+( client/opslevel-runner-\S+ podrunner/\S+)?$`)
	for _, x := range w.api.Requests() {
		if !agent.MatchString(x.Header.Get("User-Agent")) {
			t.Errorf("User-Agent: %s", x.Header.Get("User-Agent"))
		}
	}
	want, got := lines(theirs), lines(ours)
	want = slices.DeleteFunc(want, func(s string) bool { return s == "[1] " })
	// What the shell traces comes on another stream, a moment sooner or later.
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the lines (-recorded +ours):\n%s", d)
	}
}

// shipped starts a runner with the shipped configuration.
func shipped(w *world, env ...string) *runner.Runner {
	w.Helper()
	r := runner.Start(w.T, runner.Options{
		Root: root, File: filepath.Join(root, "runner.hcl"),
		Args: []string{"--set", "pipeline.default.executor=local", "--set", "telemetry.address=127.0.0.1:0"},
		Env:  append([]string{"OPSLEVEL_API_URL=" + w.api.URL(), "OPSLEVEL_API_TOKEN=" + opsleveltest.Token}, env...),
	})
	r.AwaitReady()
	return r
}

// call is a request without what may differ.
type call struct {
	Request string
	Headers map[string]string
	Body    string
	lines   []string
}

var (
	sent  = regexp.MustCompile(`"sentAt":"[^"]*"`)
	chunk = regexp.MustCompile(`"logChunk":\[[^\]]*\]`)
	stamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ `)
)

func callOf(t *testing.T, request string, headers map[string]string, body []byte) call {
	t.Helper()
	c := call{Request: request, Headers: map[string]string{}}
	for name, value := range headers {
		if name != "User-Agent" && name != "Content-Length" {
			c.Headers[name] = value
		}
	}
	var value map[string]any
	if json.Unmarshal(body, &value) == nil {
		for key, x := range value {
			if x == nil || x == "" {
				delete(value, key) // as the struct above has them
			}
		}
		normal, err := json.Marshal(value)
		must(t, err)
		c.Body = string(normal)
	}
	for _, encoded := range regexp.MustCompile(`"[A-Za-z0-9+/=]+"`).FindAllString(chunk.FindString(c.Body), -1) {
		if line, err := base64.StdEncoding.DecodeString(strings.Trim(encoded, `"`)); err == nil && !strings.Contains(encoded, "logChunk") {
			c.lines = append(c.lines, stamp.ReplaceAllString(string(line), ""))
		}
	}
	c.Body = chunk.ReplaceAllString(sent.ReplaceAllString(c.Body, `"sentAt":T`), `"logChunk":L`)
	if c.Body == "{}" {
		c.Body = ""
	}
	return c
}

// distinct are the calls in the order in which each was first made.
func distinct(calls []call) (out []string) {
	for _, c := range calls {
		text, _ := json.MarshalIndent(c, "", " ")
		if !slices.Contains(out, string(text)) {
			out = append(out, string(text))
		}
	}
	return out
}

func lines(calls []call) (out []string) {
	for _, c := range calls {
		out = append(out, c.lines...)
	}
	return out
}

// TestShippedConfiguration stops a runner of the shipped configuration that has nothing to do.
func TestShippedConfiguration(t *testing.T) {
	w := newWorld(t, opsleveltest.Options{})
	r := shipped(w, "OPSLEVEL_QUEUE=q", "OPSLEVEL_JOB_CONCURRENCY=7")
	if got := w.api.Runners()[0].Queue; got != "q" {
		t.Errorf("it has registered for the queue %q", got)
	}
	if got := r.Metric("concurrency"); got != "7" {
		t.Errorf("its concurrency is %q", got)
	}
	runner.Within(t, "the stop", time.Second, func() time.Duration {
		if r == nil {
			r = shipped(w)
		}
		begun := time.Now()
		r.Stop()
		r = nil
		return time.Since(begun)
	})
	w.unregistered()
}
