package pluginhost_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/core/internal/pluginhost"
	"github.com/podrunner/runner/core/internal/pluginhost/hosttest"
)

// TestStartFaults has plugins that do not start. What people read is in the golden files.
func TestStartFaults(t *testing.T) {
	soon := pluginhost.Limits{Start: 300 * time.Millisecond}
	tests := []struct {
		mode          string
		reason        pluginhost.Reason
		configuration bool
		limits        pluginhost.Limits
	}{
		{mode: "exit-at-start", reason: pluginhost.ExitedAtStart},
		{mode: "panic-at-start", reason: pluginhost.ExitedAtStart},
		{mode: "handshake-exit", reason: pluginhost.ExitedAtStart},
		{mode: "hang-at-start", reason: pluginhost.HungAtStart, limits: soon},
		{mode: "mute", reason: pluginhost.HungAtStart, limits: soon},
		{mode: "hang-describe", reason: pluginhost.HungAtStart, limits: soon},
		{mode: "not-a-plugin", reason: pluginhost.NotAPlugin, configuration: true},
		{mode: "yes", reason: pluginhost.NotAPlugin, configuration: true},
		{mode: "no-service", reason: pluginhost.NotAPlugin, configuration: true},
		{mode: "wrong-kind", reason: pluginhost.WrongKind, configuration: true},
		{mode: "wrong-version", reason: pluginhost.WrongProtocol, configuration: true},
		{mode: "go-plugin-2", reason: pluginhost.WrongProtocol, configuration: true},
		{mode: "netrpc", reason: pluginhost.WrongProtocol, configuration: true},
		{mode: "wants-tls", reason: pluginhost.WrongProtocol, configuration: true},
		{mode: "tcp", reason: pluginhost.WrongProtocol, configuration: true},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			f := newFixture(t, pluginhost.Options{Limits: test.limits}, test.mode)
			_, err := f.Launch(t.Context(), pluginhost.Processor, test.mode)
			e := faultOf(t, err, test.reason)
			if e.Configuration() != test.configuration || pluginhost.IsConfiguration(err) != test.configuration {
				t.Errorf("Configuration() is %v, want %v", e.Configuration(), test.configuration)
			}
			f.golden(t, "start/"+test.mode, withoutAddresses(e.Error()))
		})
	}
}

// TestLeftGroup: a plugin that hangs is killed also when it does not lead its process group any more.
func TestLeftGroup(t *testing.T) {
	f := newFixture(t, pluginhost.Options{Limits: pluginhost.Limits{Start: 300 * time.Millisecond}}, "group-left")
	launched := make(chan error, 1)
	go func() {
		_, err := f.Launch(t.Context(), pluginhost.Processor, "group-left")
		launched <- err
	}()
	select {
	case err := <-launched:
		wantReason(t, err, pluginhost.HungAtStart)
	case <-time.After(patience):
		t.Fatal("the process is still waited for")
	}
}

var addresses = regexp.MustCompile(`goroutine \d+.*|0x[0-9a-f]+|[^ \t\n]*/testplugin/|\.go:\d+|/[^ \t\n]*/src/`)

// withoutAddresses takes out of a crash report what differs from build to build.
func withoutAddresses(text string) string {
	if before, _, ok := strings.Cut(text, "\n  goroutine "); ok {
		return before + "\n  (stack)"
	}
	return addresses.ReplaceAllString(text, "*")
}

// TestFileFaults has files that can't be plugins.
func TestFileFaults(t *testing.T) {
	tests := []struct {
		name   string
		reason pluginhost.Reason
		make   func(t *testing.T, path string) error
	}{
		{"missing", pluginhost.NotFound, func(*testing.T, string) error { return nil }},
		{"directory", pluginhost.NotExecutable, func(_ *testing.T, path string) error { return os.Mkdir(path, 0o755) }},
		{"not-executable", pluginhost.NotExecutable, func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("#!/bin/sh\n"), 0o644)
		}},
		{"broken-link", pluginhost.NotFound, func(_ *testing.T, path string) error { return os.Symlink("/nowhere", path) }},
		{"no-program", pluginhost.BadPlatform, func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("exit 0\n"), 0o755)
		}},
		{"other-machine", pluginhost.BadPlatform, otherMachine},
		{"no-interpreter", pluginhost.NotFound, func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("#!/no/such/shell\n"), 0o755)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, pluginhost.Options{})
			if err := test.make(t, filepath.Join(f.dir, "runner-processor-"+test.name)); err != nil {
				t.Fatal(err)
			}
			_, err := f.Launch(t.Context(), pluginhost.Processor, test.name)
			e := faultOf(t, err, test.reason)
			if !e.Configuration() {
				t.Error("the user can mend this, and Configuration() says no")
			}
			f.golden(t, "file/"+test.name, e.Error())
		})
	}
}

// otherMachine writes an ELF header for a machine that this is not.
func otherMachine(t *testing.T, path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file, err := os.Open(self)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	header := make([]byte, 64)
	if _, err := file.Read(header); err != nil {
		return err
	}
	if string(header[:4]) != "\x7fELF" {
		t.Fatal("this test needs an ELF system")
	}
	header[18], header[19] = 0xf3, 0             // e_machine: RISC-V, either byte order or not
	clear(header[32:48])                         // no program or section headers follow
	header[56], header[58], header[60] = 0, 0, 0 // and there are none of them
	return os.WriteFile(path, header, 0o755)
}

// TestOddOutput has plugins that work, and write what they should not. They start, answer and stop; nothing that they
// write stops core or is taken for something else.
func TestOddOutput(t *testing.T) {
	tests := []struct {
		mode string
		log  []string // stands in the log sooner or later
	}{
		{"odd-json", []string{
			"odd-json: 1\n", `[WARN]  odd-json: epoch: timestamp=1700000000.5`,
			`odd-json: ["a",{"b":null}]: module={} timestamp=null key="[1,2]"`,
			`odd-json: {"@message":`, "odd-json: null", "[ERROR] odd-json: a line with a tag",
		}},
		{"long-lines", []string{
			strings.Repeat("o", 4096) + "… (a line of 71680 bytes): stream=stdout",
			strings.Repeat("e", 4096) + "… (a line of 71680 bytes)",
			"long-lines: after the long line", "long-lines: after the long line on stdout",
		}},
		{"garbage", []string{"garbage: Loading…: stream=stdout", "garbage: 1|2|3: stream=stdout", `\x00`, `\x1b[2J|||||`, "garbage: ready?"}},
		{"flood", []string{"flood: flood: i=0", "some were left out"}},
		{"grandchild", nil},
		{"grandchild-escaped", nil},
		{"slow-start", nil},
		{"stdout-fed", []string{"stdout-fed: y: stream=stdout"}},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			f := newFixture(t, pluginhost.Options{}, test.mode)
			p := f.launch(t, test.mode)
			if _, err := p.Configure(t.Context(), []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			for _, text := range test.log {
				if test.mode == "flood" && strings.Contains(text, "left out") {
					continue // said when the plugin is quiet again, or at its end
				}
				f.log.waitFor(t, text)
			}
			f.close(t)
			killEscaped(t, f.log.String())
			if test.mode == "flood" {
				checkFlood(t, f.log.String())
			}
		})
	}
}

var leftOut = regexp.MustCompile(`some were left out: lines=(\d+)`)

// checkFlood counts: what was left out was said.
func checkFlood(t *testing.T, log string) {
	t.Helper()
	lines := strings.Count(log, "flood: flood: i=")
	for _, m := range leftOut.FindAllStringSubmatch(log, -1) {
		n := 0
		for _, digit := range m[1] {
			n = n*10 + int(digit-'0')
		}
		lines += n
	}
	if lines != 20000 {
		t.Errorf("lines in the log and lines left out are %d, want 20000", lines)
	}
}

// TestCallFaults has plugins that fail in a call.
func TestCallFaults(t *testing.T) {
	t.Run("panic", func(t *testing.T) {
		f := newFixture(t, pluginhost.Options{}, "panic-validate")
		p := f.launch(t, "panic-validate")
		_, err := p.Validate(t.Context(), nil)
		e := faultOf(t, err, pluginhost.Ended)
		f.golden(t, "call/panic", withoutAddresses(e.Error()))
		f.log.waitFor(t, "[ERROR] panic-validate: panic: a test's panic in Validate")
	})
	t.Run("hang", func(t *testing.T) {
		f := newFixture(t, pluginhost.Options{}, "hang-validate")
		p := f.launch(t, "hang-validate")
		ctx, cancel := contextWithTimeout(t, 200*time.Millisecond)
		defer cancel()
		_, err := p.Validate(ctx, nil)
		wantReason(t, err, pluginhost.Hangs)
	})
}

func TestChecksum(t *testing.T) {
	sum, err := pluginhost.Checksum(hosttest.Dir(t, "echo").Path + "/runner-processor-echo")
	if err != nil {
		t.Fatal(err)
	}
	with := func(checksum string) pluginhost.Options {
		return pluginhost.Options{Plugins: map[string]pluginhost.Settings{"echo": {Checksum: checksum}}}
	}
	t.Run("right", func(t *testing.T) {
		f := newFixture(t, with(sum), "echo")
		p := f.launch(t, "echo")
		if got, err := p.Validate(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("Validate gave %v, %v", got, err)
		}
	})
	t.Run("right, through a link", func(t *testing.T) {
		f := newFixture(t, with(sum))
		target := hosttest.Dir(t, "echo").Path + "/runner-processor-echo"
		if err := os.Symlink(target, f.dir+"/runner-processor-echo"); err != nil {
			t.Fatal(err)
		}
		f.launch(t, "echo")
	})
	t.Run("wrong", func(t *testing.T) {
		want := "sha256:" + strings.Repeat("0", 64)
		f := newFixture(t, with(want), "echo")
		_, err := f.Launch(t.Context(), pluginhost.Processor, "echo")
		e := faultOf(t, err, pluginhost.BadChecksum)
		f.golden(t, "file/checksum", strings.ReplaceAll(e.Error(), sum, "sha256:$SUM"))
	})
	t.Run("swapped after the check", func(t *testing.T) {
		f := newFixture(t, with(sum), "echo")
		path := f.dir + "/runner-processor-echo"
		pluginhost.AfterVerify(t, func() {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(path, []byte("#!/bin/sh\necho swapped >&2\nexit 1\n"), 0o755); err != nil {
				t.Error(err)
			}
		})
		f.launch(t, "echo") // the file that was checked is the one that runs
	})
	t.Run("not well formed", func(t *testing.T) {
		_, err := pluginhost.New(with("md5:abc"))
		wantReason(t, err, pluginhost.BadSettings)
	})
}

func TestEnvironment(t *testing.T) {
	f := newFixture(t, pluginhost.Options{
		Environ: []string{
			"PATH=/bin", "HOME=/home/x", "LC_ALL=C", "SSL_CERT_FILE=/certs", "TOKEN=secret", "GRANTED=yes", "GRANTED_NOT=no",
			"PLUGIN_CLIENT_CERT=x", "RUNNER_PLUGIN_COOKIE=x",
		},
		Plugins: map[string]pluginhost.Settings{"environ": {Env: []string{"GRANTED", "MISSING"}, LogLevel: "debug"}},
	}, "environ")
	p := f.launch(t, "environ")
	diagnostics, err := p.Validate(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.SplitSeq(diagnostics[0].GetDetail(), "\n") {
		if name, _, _ := strings.Cut(line, "="); name == "PLUGIN_UNIX_SOCKET_DIR" || name == "RUNNER_PLUGIN_COOKIE" {
			line = name + "=…"
		}
		got = append(got, line)
	}
	f.golden(t, "environ", strings.Join(got, "\n"))

	for _, bad := range []string{"", "A=B", "1A", "PLUGIN_CLIENT_CERT", "RUNNER_PLUGIN_LIFELINE"} {
		_, err := pluginhost.New(pluginhost.Options{Plugins: map[string]pluginhost.Settings{"x": {Env: []string{bad}}}})
		wantReason(t, err, pluginhost.BadSettings)
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("the cause")
	e := &pluginhost.Error{
		Plugin: `processor "x"`, Reason: pluginhost.Ended, Detail: "exited with code 1", Err: cause,
		Output: strings.Repeat("line\n", 40) + strings.Repeat("l", 2000), Advice: "Do this.",
	}
	if !errors.Is(e, cause) {
		t.Error("the cause is not in the chain")
	}
	if want := `processor "x" exited with code 1: the cause`; e.Summary() != want {
		t.Errorf("summary is %q, want %q", e.Summary(), want)
	}
	if text := e.Error(); len(text) > 1000 || strings.Count(text, "line\n") != 14 || !strings.HasSuffix(text, "\nDo this.") {
		t.Errorf("the text is not short:\n%s", text)
	}
}
