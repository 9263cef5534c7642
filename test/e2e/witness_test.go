package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/test/e2e/runner"
)

// canary is a sensitive value that must be seen nowhere.
const canary = "canary-7c1fe0a2b9"

// witness takes what core tells of its jobs: error reports, and traces with OTLP over HTTP.
type witness struct {
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex
	raw    bytes.Buffer
	events []map[string]any
	spans  []*tracev1.Span
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/42/envelope/", w.envelope)
	mux.HandleFunc("POST /v1/traces", w.traces)
	w.server = httptest.NewServer(mux)
	t.Cleanup(w.server.Close)
	return w
}

func (w *witness) dsn() string {
	return strings.Replace(w.server.URL, "://", "://0123456789abcdef@", 1) + "/42"
}

// envelope takes an error report: a line of JSON, and one more for each header and each payload.
func (w *witness) envelope(answer http.ResponseWriter, r *http.Request) {
	for line := range bytes.Lines(w.body(answer, r)) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			w.t.Errorf("an error report has the line %q: %v", line, err)
		}
		if m["level"] != nil {
			w.mu.Lock()
			w.events = append(w.events, m)
			w.mu.Unlock()
		}
	}
}

// traces takes spans. The request has the shape of TracesData.
func (w *witness) traces(answer http.ResponseWriter, r *http.Request) {
	data := &tracev1.TracesData{}
	if err := proto.Unmarshal(w.body(answer, r), data); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range data.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			w.spans = append(w.spans, scope.GetSpans()...)
		}
	}
}

func (w *witness) body(_ http.ResponseWriter, r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw.Write(body)
	return body
}

// named returns the spans of a trace by their names.
func (w *witness) named(trace string) map[string]*tracev1.Span {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]*tracev1.Span{}
	for _, s := range w.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace {
			out[s.GetName()] = s
		}
	}
	return out
}

// told returns the reports whose message holds a text.
func (w *witness) told(text string) (out []map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if message, _ := e["message"].(string); strings.Contains(message, text) {
			out = append(out, e)
		}
	}
	return out
}

// batch is a run of core over the jobs of a file.
type batch struct {
	*core
	// results is where logs and results go, flag a file for which jobs may wait.
	results, flag string
}

// newBatch prepares a run over jobs, each a line of the plugin's file, in which FLAG stands for the path of batch.flag.
func newBatch(t *testing.T, jobs ...string) *batch {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"runner-processor-outcome", "runner-processor-sanitize", "runner-processor-prefix"} {
		text, err := os.ReadFile(filepath.Join(bin, "plugins", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "runner-source-batch"), "./examples/plugins/batch")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shared, err := os.MkdirTemp("/var/tmp", "e2e-") //nolint:usetesting // a job has a /tmp of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shared) })
	b := &batch{results: t.TempDir(), flag: filepath.Join(shared, "flag")}
	file := write(t, "jobs.ndjson", strings.ReplaceAll(strings.Join(jobs, "\n"), "FLAG", b.flag)+"\n")
	config := write(t, "runner.hcl", fmt.Sprintf(`
runner {
  plugin_dir = %q
}
telemetry {
  address            = ""
  sentry_dsn         = env("DSN", "")
  sentry_environment = "test"
}
pipeline "default" {
  executor = "local"
  source "batch" {
    config {
      jobs    = %q
      results = %q
    }
  }
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
  deliver {
    max_interval = "100ms"
  }
}
`, dir, file, b.results))
	b.core = command(t, "run", "-c", config)
	return b
}

// result returns a file that the source has written, "" while there is none.
func (b *batch) result(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.results, name))
	return string(text)
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so that %s", what)
		}
	}
}

const wait = `while [ ! -e FLAG ]; do sleep 0.05; done`

// leaky is a job that shows its sensitive value in all ways, and fails.
var leaky = fmt.Sprintf(`{"id": "leaky", "image": "alpine", "variables": [{"key": "TOKEN", "value": %q, "sensitive": true}], "commands": [
	"echo plain $TOKEN", "echo trace=$TRACEPARENT", %q, "echo ::set-outcome-var token=$TOKEN", "echo $TOKEN >&2", "i=0; set +xv; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i >&2; done",
	"set -x; ls /nowhere/$TOKEN"]}`, canary, wait)

// oneLine makes a job one line of the plugin's file.
func oneLine(job string) string { return strings.NewReplacer("\n", "", "\t", "").Replace(job) }

// TestWitnesses runs a job that fails and a plugin that is killed, and looks at all that leaves core.
func TestWitnesses(t *testing.T) {
	w := newWitness(t)
	b := newBatch(t, oneLine(leaky), `{"id": "fine", "image": "alpine", "commands": ["echo $TRACEPARENT"]}`)
	b.Env = append(b.Env, "DSN="+w.dsn(), "OTEL_EXPORTER_OTLP_ENDPOINT="+w.server.URL, "OTEL_RESOURCE_ATTRIBUTES=team=x")
	b.start(t)
	waitFor(t, "the job prints", func() bool { return strings.Contains(b.result("leaky.log"), "trace=00-") || b.ProcessState != nil })
	if err := syscall.Kill(plugins(b.Process.Pid)["prefix"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := b.finish(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, &b.stderr)
	}

	for what, text := range map[string]string{
		"an error report or a span": w.raw.String(), "core's log": b.stderr.String(), "the job's log": b.result("leaky.log"), "its result": b.result("leaky.json"),
	} {
		if strings.Contains(text, canary) {
			t.Errorf("%s shows the sensitive value:\n%q", what, text)
		}
	}
	if strings.Contains(b.stderr.String(), "0123456789abcdef") {
		t.Errorf("core's log shows the DSN:\n%s", &b.stderr)
	}

	log := strings.Split(strings.TrimSuffix(b.result("leaky.log"), "\n"), "\n")
	if len(w.events) != 2 {
		t.Errorf("there are %d error reports: %v", len(w.events), w.events)
	}
	if killed := w.told(`processor "prefix"`); len(killed) != 1 || killed[0]["level"] != "error" {
		t.Errorf("the plugin's end is reported as %v", killed)
	}
	failed := w.told("[job: leaky] Ended with Outcome: failed")
	if len(failed) != 1 {
		t.Fatalf("the job's end is not reported; the reports are %v", w.events)
	}
	tags, _ := failed[0]["tags"].(map[string]any)
	contexts, _ := failed[0]["contexts"].(map[string]any)
	logs, _ := contexts["logs"].(map[string]any)
	if tags["job"] != "leaky" || tags["outcome"] != "failed" || tags["reason"] != "exit" || failed[0]["environment"] != "test" {
		t.Errorf("the report is %v", failed[0])
	}
	var last []string
	for _, l := range logs["runner_logs"].([]any) {
		last = append(last, fmt.Sprint(l))
	}
	if want := log[max(0, len(log)-20):]; !slices.Equal(last, want) {
		t.Errorf("the report has the lines %q, want %q", last, want)
	}
	contains(t, "the report", strings.Join(last, "\n"), "line 30", "+ ls /nowhere/**********", `outcome variable "token" holds a sensitive value`)

	for _, id := range []string{"leaky", "fine"} {
		seen := regexp.MustCompile(`00-([0-9a-f]{32})-([0-9a-f]{16})-01`).FindStringSubmatch(b.result(id + ".log"))
		if seen == nil {
			t.Fatalf("the job %s has seen no trace:\n%s", id, b.result(id+".log"))
		}
		spans := w.named(seen[1])
		for _, name := range []string{"job", "claim", "start", "run", "deliver", "report"} {
			if spans[name] == nil {
				t.Errorf("the trace of %s has no span %s: %v", id, name, spans)
			}
		}
		if root := spans["job"]; root != nil && (hex.EncodeToString(root.GetSpanId()) != seen[2] ||
			(root.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR) != (id == "leaky")) {
			t.Errorf("the root span of %s is %v", id, root)
		}
	}
}

// TestNoWitness: unless they are switched on, nothing is sent anywhere, and the job has no variable more.
func TestNoWitness(t *testing.T) {
	w := newWitness(t)
	b := newBatch(t, `{"id": "fails", "image": "alpine", "commands": ["env", "false"]}`)
	// What others read of the environment is not read by core, and a switch is a switch.
	b.Env = append(b.Env, "SENTRY_DSN="+w.dsn(), "OTEL_EXPORTER_OTLP_ENDPOINT="+w.server.URL, "OTEL_SDK_DISABLED=true")
	b.start(t)
	if code := b.finish(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, &b.stderr)
	}
	if !strings.Contains(b.result("fails.json"), "failed") || strings.Contains(b.result("fails.log"), "TRACEPARENT") {
		t.Errorf("the result is %s, the log %s", b.result("fails.json"), b.result("fails.log"))
	}
	if w.raw.Len() > 0 {
		t.Errorf("something was sent: %q", &w.raw)
	}
}

// TestWitnessesHang: neither an end in order nor one at once is held up by servers that do not answer.
func TestWitnessesHang(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, test := range []struct {
		name   string
		twice  bool
		within time.Duration
	}{
		{"in order", false, 8 * time.Second},
		{"at once", true, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			runner.Within(t, "the end", test.within, func() time.Duration {
				waits, _ := json.Marshal(wait) //nolint:errchkjson // a text
				b := newBatch(t, `{"id": "fails", "image": "alpine", "commands": ["false"]}`,
					fmt.Sprintf(`{"id": "waits", "image": "alpine", "commands": ["echo waits", %s]}`, waits))
				b.Env = append(b.Env, fmt.Sprintf("DSN=http://key@%s/42", silent.Addr()), fmt.Sprintf("OTEL_EXPORTER_OTLP_ENDPOINT=http://%s", silent.Addr()))
				b.start(t)
				waitFor(t, "one job has failed and one runs", func() bool { return b.result("fails.json") != "" && strings.Contains(b.result("waits.log"), "waits") })
				begun := time.Now()
				want := 0
				_ = b.Process.Signal(syscall.SIGTERM)
				if test.twice {
					waitFor(t, "core drains", func() bool { return strings.Contains(b.stderr.String(), "draining") })
					_ = b.Process.Signal(syscall.SIGTERM)
					want = 1
				} else if err := os.WriteFile(b.flag, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if code := b.finish(t); code != want {
					t.Errorf("exit code %d:\n%s", code, &b.stderr)
				}
				took := time.Since(begun)
				contains(t, "core's log", b.stderr.String(), "error reports were not sent in time", "traces were not exported in time")
				return took
			})
		})
	}
}
