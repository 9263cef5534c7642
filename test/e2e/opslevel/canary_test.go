package opslevel

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/test/e2e/runner"
)

// exit is a way out of the runner: an HTTP server that keeps all that it is told.
type exit struct {
	*httptest.Server
	mu   sync.Mutex
	told bytes.Buffer
	n    int
}

func newExit(t *testing.T) *exit {
	t.Helper()
	e := &exit{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			plain, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Errorf("%s: %v", r.URL, err)
				return
			}
			body = plain
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.n++
		_ = r.Header.Write(&e.told)
		if _, err := io.Copy(&e.told, body); err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		if strings.Contains(r.URL.Path, "/envelope") {
			_, _ = io.WriteString(w, "{}")
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *exit) all() (told string, requests int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.told.String(), e.n
}

// TestNothingSensitiveLeaves has jobs print a sensitive value in every way that they can, with every exit of the runner open
// and its log at the finest level, and looks for the value, and for the API token, wherever the runner has said something.
func TestNothingSensitiveLeaves(t *testing.T) {
	const canary, token = "c4narySecretValue77", "t0kenOfTheAPIcanary"
	w := newWorld(t, opsleveltest.Options{Token: token})
	sentry, collector := newExit(t), newExit(t)
	secret := []opsleveltest.Variable{{Key: "SECRET", Value: canary, Sensitive: true}}
	with := func(j opsleveltest.Job) opsleveltest.Job { j.Variables = secret; return j }
	ids := w.api.Add(
		with(opsleveltest.Job{Image: "i", Commands: []string{"echo plain $SECRET", "echo error $SECRET >&2", `echo "::set-outcome-var v=$SECRET"`, `test "$SECRET" = other`}}),
		with(opsleveltest.Job{Image: "i", Commands: []string{
			`{ echo "f=$SECRET"; echo "$SECRET"; echo "a <<$SECRET"; echo "$SECRET"; echo "open<<$SECRET"; echo " $SECRET"; } >>"$OUTCOME_FILE"`,
			`echo "::stop-commands::$SECRET 1"`, `echo "::start-multiline-outcome-var g<<$SECRET"`, `echo "x$SECRET"`, "false",
		}}),
		with(opsleveltest.Job{Image: "i", Commands: []string{`"$SECRET" is no command`}}),
		with(opsleveltest.Job{Image: "i", Commands: []string{`printf %s "$SECRET" | base64; kill -9 $$`}}),
		with(opsleveltest.Job{Image: "i", Commands: []string{"cat /no/such/" + canary}}),
		with(opsleveltest.Job{Image: "i", InitCommands: []string{`exit "$SECRET"`}, Commands: []string{"true"}}),
		with(opsleveltest.Job{Image: "i", Commands: []string{"true"}, Files: []opsleveltest.File{{Name: "no/" + canary, Contents: canary}}}),
	)
	r := runner.Start(t, runner.Options{
		Root: root, File: filepath.Join(root, "runner.hcl"),
		Args: []string{"--set", "pipeline.default.executor=local", "--set", "telemetry.address=127.0.0.1:0", "--log-level", "trace"},
		Env: []string{
			"OPSLEVEL_API_URL=" + w.api.URL(), "OPSLEVEL_API_TOKEN=" + token,
			"SENTRY_DSN=" + strings.Replace(sentry.URL, "http://", "http://0123456789abcdef0123456789abcdef@", 1) + "/1",
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		},
	})
	r.AwaitReady()
	jobs := w.results(ids)
	for i, j := range jobs {
		if j.Outcome != "failed" {
			t.Errorf("job %d: outcome %s", i, j.Outcome)
		}
	}
	_, metrics := r.Get("/metrics")
	_, ready := r.Get("/readyz")
	r.Stop()

	said := map[string]string{"the log of the runner": r.Log.String(), "the metrics": metrics, "the readiness": ready}
	var events, spans int
	said["Sentry"], events = sentry.all()
	said["the collector"], spans = collector.all()
	if events < len(ids) || spans == 0 {
		t.Errorf("Sentry was told of %d things, the collector of %d: the test tests nothing", events, spans)
	}
	encoded := regexp.MustCompile(`"[A-Za-z0-9+/=]{4,}"`)
	for _, request := range w.api.Requests() {
		text := string(request.Body)
		for _, chunk := range encoded.FindAllString(text, -1) {
			if line, err := base64.StdEncoding.DecodeString(strings.Trim(chunk, `"`)); err == nil {
				text += "\n" + string(line)
			}
		}
		for name, values := range request.Header {
			if name != "Authorization" {
				text += "\n" + strings.Join(values, " ")
			}
		}
		said["the requests to the API"] += text
	}
	must(t, filepath.WalkDir(r.Temp, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var data []byte
			data, err = os.ReadFile(path)
			said["what is left on the disk"] += path + string(data)
		}
		return err
	}))
	forms := map[string]string{
		"the value": canary, "the value in base64": base64.StdEncoding.EncodeToString([]byte(canary))[:24], "the token": token,
	}
	for where, text := range said {
		for what, form := range forms {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s stands in %s: …%q…", what, where, text[max(0, i-100):min(len(text), i+len(form)+50)])
			}
		}
	}
}
