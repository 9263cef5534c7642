package pluginhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

func TestLaunch(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	p := f.launch(t, "echo")
	if got := p.Description(); got.GetName() != "echo" || got.GetVersion() != "1.2.3" {
		t.Errorf("description is %v", got)
	}
	diagnostics, err := p.Validate(t.Context(), []byte(`{"prefix":1}`))
	if err != nil || len(diagnostics) != 1 || diagnostics[0].GetSeverity() != pluginv1.Severity_SEVERITY_ERROR {
		t.Errorf("Validate gave %v, %v; want one error", diagnostics, err)
	}
	diagnostics, err = p.Configure(t.Context(), []byte(`{"prefix":"> "}`))
	if err != nil || len(diagnostics) != 0 {
		t.Errorf("Configure gave %v, %v", diagnostics, err)
	}
	if c := connect(t, p); c.Generation() != 1 || c.Err() != nil {
		t.Errorf("generation %d, error %v", c.Generation(), c.Err())
	}
	if strings.Contains(f.log.String(), "go-plugin") {
		t.Errorf("go-plugin speaks in the log:\n%s", f.log)
	}
	c := connect(t, p)
	f.close(t)
	await(t, c)
	wantReason(t, c.Err(), pluginhost.Closed)
	_, err = p.Connect(t.Context())
	wantReason(t, err, pluginhost.Closed)
	_, err = f.Launch(t.Context(), pluginhost.Processor, "echo")
	wantReason(t, err, pluginhost.Closed)
}

func TestProcessesOfTheirOwn(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	one, two := f.launch(t, "echo"), f.launch(t, "echo")
	if one, two := connect(t, one), connect(t, two); pidOf(t, one) == pidOf(t, two) {
		t.Error("two launches share a process")
	}
}

func TestRefusedConfiguration(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	f.SetRedact(func(text []byte) []byte {
		return []byte(strings.NewReplacer("Refused", "****", "told", "****").Replace(string(text)))
	})
	p := f.launch(t, "echo")
	c := connect(t, p)
	diagnostics, err := p.Configure(t.Context(), []byte(`{"refuse":true}`))
	if err != nil || len(diagnostics) != 1 {
		t.Fatalf("Configure gave %v, %v; want one diagnostic", diagnostics, err)
	}
	if d := diagnostics[0]; d.GetSummary() != "****" || d.GetDetail() != "It was **** to refuse." {
		t.Errorf("the diagnostic is not redacted: %v", d)
	}
	await(t, c)
	_, err = p.Connect(t.Context())
	wantReason(t, err, pluginhost.Closed)
}

// TestLongDiagnostic: what a plugin finds is for people, however much that is, and the redactor's bound holds.
func TestLongDiagnostic(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "long-diagnostic")
	var most atomic.Int64 // what it writes to its log is redacted beside it
	f.SetRedact(func(text []byte) []byte {
		if n := int64(len(text)); n > most.Load() {
			most.Store(n)
		}
		return text
	})
	diagnostics, err := f.launch(t, "long-diagnostic").Validate(t.Context(), nil)
	if err != nil || len(diagnostics) != 1 {
		t.Fatalf("Validate gave %v, %v; want one diagnostic", diagnostics, err)
	}
	if n := len(diagnostics[0].GetDetail()); n > 17<<10 || most.Load() > 65<<10 {
		t.Errorf("%d bytes are shown, and %d were redacted at once", n, most.Load())
	}
}

// TestCloseInTime has plugins that do not want to end: each is gone when Close returns, well within its time.
func TestCloseInTime(t *testing.T) {
	modes := []string{"ignore-shutdown", "grandchild", "grandchild-escaped", "stdout-fed", "flood", "lifeline"}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{Stop: 200 * time.Millisecond, Grace: 100 * time.Millisecond}}, mode)
			p := f.launch(t, mode)
			pid := pidOf(t, connect(t, p))
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := f.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if processExists(pid) {
				t.Errorf("process %d is still there", pid)
			}
			if group := groupOf(pid); len(group) != 0 {
				t.Errorf("of its group there are still %v", group)
			}
			killEscaped(t, f.log.String())
		})
	}
}

// TestCloseKeepsToContext gives Close no time at all.
func TestCloseKeepsToContext(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "ignore-shutdown")
	p := f.launch(t, "ignore-shutdown")
	pid := pidOf(t, connect(t, p))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if processExists(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

// TestLifeline closes the plugin's input, which is what the end of core looks like where the kernel does not help.
func TestLifeline(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "lifeline")
	p := f.launch(t, "lifeline")
	c := connect(t, p)
	pluginhost.CutLifeline(c)
	await(t, c)
	if e := faultOf(t, c.Err(), pluginhost.Ended); !strings.Contains(e.Output, "core is gone") {
		t.Errorf("the plugin did not see the end of its input: %v", e)
	}
}

func TestCancelledLaunch(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "hang-at-start")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		f.log.waitFor(t, "waiting for a database")
		cancel()
	}()
	_, err := f.Launch(ctx, pluginhost.Processor, "hang-at-start")
	wantReason(t, err, pluginhost.Closed)
}

func TestCloseDuringLaunch(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "hang-at-start")
	go func() {
		f.log.waitFor(t, "waiting for a database")
		f.close(t)
	}()
	_, err := f.Launch(t.Context(), pluginhost.Processor, "hang-at-start")
	wantReason(t, err, pluginhost.Closed)
}

func TestStaleSocketsAreSwept(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	stale := filepath.Join(f.temp, "rnr-stale")
	if err := os.MkdirAll(filepath.Join(stale, "plugin-dir1"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(f.temp, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	f.launch(t, "echo")
	if _, err := os.Stat(stale); err == nil {
		t.Error("the directory of a core that is gone is still there")
	}
	if err := os.Remove(other); err != nil {
		t.Errorf("a directory that is not ours was touched: %v", err)
	}
	// That of a core that lives stays.
	living, err := filepath.Glob(filepath.Join(f.temp, "rnr-*"))
	if err != nil || len(living) != 1 {
		t.Fatalf("socket directories: %v, %v; want one", living, err)
	}
	second, err := pluginhost.New(pluginhost.Options{
		TempDir: f.temp, Dirs: []pluginhost.Dir{{Path: f.dir, From: "the test"}}, Environ: []string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Launch(t.Context(), pluginhost.Processor, "echo"); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(living[0]); err != nil {
		t.Errorf("the directory of a living core was swept: %v", err)
	}
}

func TestLongTempDir(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "echo")
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	host, err := pluginhost.New(pluginhost.Options{TempDir: long, Dirs: []pluginhost.Dir{{Path: f.dir, From: "the test"}}, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = host.Launch(t.Context(), pluginhost.Processor, "echo")
	if e := faultOf(t, err, pluginhost.StartFailed); !strings.Contains(e.Error(), "TMPDIR") {
		t.Errorf("the error does not say what to do: %v", e)
	}
	if err := host.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRedaction(t *testing.T) {
	f := newFixture(t, pluginhost.Options{}, "panic-validate")
	p := f.launch(t, "panic-validate")
	f.SetRedact(func(text []byte) []byte { return []byte(strings.ReplaceAll(string(text), "panic in Validate", "****")) })
	c := connect(t, p)
	_, err := p.Validate(t.Context(), nil)
	await(t, c)
	for what, text := range map[string]string{"the error": err.Error(), "Err": fmt.Sprintf("%+v", c.Err()), "the log": f.log.String()} {
		if strings.Contains(text, "panic in Validate") {
			t.Errorf("%s holds the secret:\n%s", what, text)
		}
	}
	if !strings.Contains(err.Error(), "a test's ****") {
		t.Errorf("the error does not hold the redacted text: %v", err)
	}
}
