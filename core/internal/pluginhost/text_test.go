package pluginhost

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

func asIs(text []byte) []byte { return text }

func TestParseLogLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       string // level, message, fields
	}{
		{"text", "hello", "info|hello|[]"},
		{"empty", "", "info||[]"},
		{"carriage return", "hello\r", "info|hello|[]"},
		{"tag", "[WARN]  careful", "warn|careful|[]"},
		{"unknown tag", "[FATAL] dead", "info|[FATAL] dead|[]"},
		{
			"hclog", `{"@level":"debug","@message":"m","@module":"x.y","@timestamp":"2026-01-02T03:04:05.000006Z","b":1,"a":"v"}`,
			"debug|m|[module x.y a v b 1]",
		},
		{"slog", `{"time":"2026-01-02T03:04:05.123456789Z","level":"ERROR","msg":"m","n":1e3}`, "error|m|[n 1e3]"},
		{"numeric message", `{"@message":1}`, "info|1|[]"},
		{"numeric level and time", `{"@message":"m","@level":3,"@timestamp":17.5}`, "info|m|[timestamp 17.5]"},
		{"a level that is none", `{"@message":"m","@level":"off"}`, "info|m|[]"},
		{"no message", `{"a":{"b":[true,null]}}`, `info||[a {"b":[true,null]}]`},
		{"null", `null`, "info|null|[]"},
		{"array", `[1]`, "info|[1]|[]"},
		{"torn", `{"@message":"m"`, `info|{"@message":"m"|[]`},
		{"two values", `{"a":1}{"b":2}`, `info|{"a":1}{"b":2}|[]`},
		{"control characters", "a\x1b[2Jb\x00c\td\x85e", "info|a\\x1b[2Jb\\x00c\td\uFFFDe|[]"},
		{"forged line", `{"@message":"m\n[ERROR] core: fire"}`, `info|m\n[ERROR] core: fire|[]`},
		{"forged field", `{"@message":"m","a b=c\n":"d"}`, "info|m|[a_b_c_ d]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := parseLogLine([]byte(test.line), asIs)
			if got := fmt.Sprintf("%s|%s|%v", line.level, line.message, line.fields); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestRedactionSeesThroughEscapes hides a secret with quotes in JSON, where it looks different.
func TestRedactionSeesThroughEscapes(t *testing.T) {
	redact := func(text []byte) []byte { return bytes.ReplaceAll(text, []byte(`s"3<cret`), []byte("***")) }
	for _, line := range []string{
		`{"@message":"a s\"3<cret b"}`,
		`{"@message":"m","k":"s\u00223\u003ccret"}`,
		`{"@message":"m","k":{"n":["s\"3<cret"]}}`,
		`{"@message":"m","s\"3<cret":1}`,
		`{"@message":"m","k":{"s\"3<cret":1}}`,
		`{"@message":["s\"3<cret"]}`,
		`[INFO] s"3<cret`,
	} {
		got := parseLogLine([]byte(line), redact)
		if text := got.message + fmt.Sprint(got.fields...); !strings.Contains(text, "***") || strings.Contains(text, "cret") {
			t.Errorf("%s became %s", line, text)
		}
	}
}

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := []struct {
		name   string
		writes []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"one", []string{"a\n"}, []string{"a+0"}},
		{"no end", []string{"a"}, []string{"a+0"}},
		{"pieces", []string{"a", "b\nc", "\n\nd\n"}, []string{"ab+0", "c+0", "+0", "d+0"}},
		{"longest", []string{long + "\n"}, []string{long + "+0"}},
		{"too long", []string{long + "yz\nb\n"}, []string{long + "+2", "b+0"}},
		{"too long in pieces", []string{long, "y", "z", "\nb\n"}, []string{long + "+2", "b+0"}},
		{"too long, no end", []string{long, "yz"}, []string{long + "+2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			w := &lineWriter{line: func(text []byte, excess int) { got = append(got, fmt.Sprintf("%s+%d", text, excess)) }}
			for _, text := range test.writes {
				if n, err := io.WriteString(w, text); n != len(text) || err != nil {
					t.Fatalf("Write gave %d, %v", n, err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCopyToEnd reads a pipe that a descendant of the process holds open.
func TestCopyToEnd(t *testing.T) {
	t.Run("what is in the pipe is read, however late", func(t *testing.T) {
		r, w := pipe(t)
		text := bytes.Repeat([]byte("0123456789abcde\n"), 3000)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := r.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		copyToEnd(&got, r)
		if !bytes.Equal(got.Bytes(), text) {
			t.Errorf("%d bytes of %d were read", got.Len(), len(text))
		}
	})
	t.Run("one who writes for ever is not read for ever", func(t *testing.T) {
		r, w := pipe(t)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}()
		if err := r.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		copyToEnd(io.Discard, r)
		_ = r.Close()
		<-stopped
	})
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func newTestVoice(out io.Writer) *voice {
	return newVoice(hclog.New(&hclog.LoggerOptions{Output: out, DisableTime: true}), asIs)
}

func TestCrashReport(t *testing.T) {
	var log bytes.Buffer
	v := newTestVoice(&log)
	w := v.stderr()
	_, _ = io.WriteString(w, "before\npanic: boom\n\ngoroutine 1 [running]:\n"+`{"@level":"info","@message":"another goroutine speaks"}`+"\nmain.main()\n")
	for range 10000 {
		_, _ = io.WriteString(w, "\t/a/very/long/stack.go:1\n")
	}
	got := v.last()
	if want := "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a"; !strings.HasPrefix(got, want) {
		t.Errorf("the report begins %q, want %q", got[:min(len(got), 80)], want)
	}
	if len(got) > tailBytes {
		t.Errorf("the report has %d bytes", len(got))
	}
	for _, want := range []string{"[ERROR] panic: boom\n", "[ERROR] main.main()\n", "[INFO]  another goroutine speaks\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not hold %q", want)
		}
	}
	if text := excerpt(got, 5); strings.Count(text, "\n") != 5 || !strings.HasPrefix(text, "panic: boom") {
		t.Errorf("the excerpt is not the beginning:\n%s", text)
	}
}

func TestTail(t *testing.T) {
	v := newTestVoice(io.Discard)
	w := v.stderr()
	for i := range 20000 {
		_, _ = fmt.Fprintf(w, "line %d\n", i)
	}
	got := v.last()
	if len(got) > tailBytes || len(got) < tailBytes-100 || !strings.HasSuffix(got, "\nline 19999") || !strings.HasPrefix(got, "line ") {
		t.Errorf("the tail has %d bytes, from %q to %q", len(got), got[:10], got[len(got)-10:])
	}
	if cap(v.tail) > 8*tailBytes {
		t.Errorf("it holds %d bytes of memory", cap(v.tail))
	}
}

func TestTooManyLines(t *testing.T) {
	var log bytes.Buffer
	v := newTestVoice(&log)
	now := time.Unix(0, 0)
	v.now = func() time.Time { return now }
	say := func(n int) {
		for range n {
			v.say(logLine{level: hclog.Info, message: "said"})
		}
	}
	check := func(said int, confessed ...string) {
		t.Helper()
		if got := strings.Count(log.String(), "said"); got != said {
			t.Errorf("%d lines came through, want %d", got, said)
		}
		for _, text := range confessed {
			if !strings.Contains(log.String(), text) {
				t.Errorf("the log does not say %q", text)
			}
		}
	}
	say(linesBurst + 100)
	check(linesBurst)
	now = now.Add(2 * time.Second)
	say(1)
	check(linesBurst+1, "left out: lines=100")
	say(linesRate * 3)
	check(linesBurst + 2*linesRate)
	v.close()
	check(linesBurst+2*linesRate, "left out: lines=51")
	now = now.Add(time.Hour)
	say(2 * linesBurst)
	check(2*linesBurst + 2*linesRate)
}

func TestRecord(t *testing.T) {
	end := func(progress bool, age time.Duration) *Connection {
		c := &Connection{done: make(chan struct{}), since: time.Now().Add(-age)}
		c.progress.Store(progress)
		c.finish(&Error{Plugin: "p", Reason: Ended, Detail: "ended"})
		return c
	}
	limits := Limits{Failures: 5}.orDefaults()
	r := record{limits: limits}
	within := func(least time.Duration) {
		t.Helper()
		if d := r.delay(); d < least || d > least*6/5+1 {
			t.Errorf("after %d ends the delay is %v, want %v and a little", r.count, d, least)
		}
	}
	for _, want := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
		r.ended(end(false, 0))
		within(want)
	}
	r.ended(end(true, 0)) // it has worked
	within(0)
	for range 3 {
		r.ended(end(false, 0))
	}
	within(4 * time.Second)
	r.ended(end(false, limits.Healthy)) // it has lived long
	within(0)
	for range 4 {
		if r.open() {
			t.Error("the circuit is open too early")
		}
		r.ended(end(false, 0))
	}
	if !r.open() || r.delay() != limits.Retry {
		t.Errorf("after %d ends the circuit is not open", r.count)
	}
	r = record{limits: limits}
	r.failed(&Error{Reason: BadChecksum})
	if !r.open() {
		t.Error("a start that only the user can make possible is tried again")
	}
	r = record{limits: limits, count: 3}
	r.limits.RestartMax = 1500 * time.Millisecond
	within(1500 * time.Millisecond)
}

func TestHandshakeCheck(t *testing.T) {
	tests := []struct {
		line  string
		looks bool
		good  bool
	}{
		{"1|1|unix|/tmp/s|grpc|", true, true},
		{"1|1|unix|/tmp/s|grpc", true, true},
		{" 1|1|unix|/tmp/s|grpc||true\r", true, true},
		{"1|1|unix|/tmp/s", true, false},
		{"1|1|unix|relative|grpc", true, false},
		{"1|1|unix||grpc", true, false},
		{"1|1|tcp|127.0.0.1:1|grpc", true, false},
		{"1|1|unix|/tmp/s|grpc|Zm9v", true, false},
		{"2|1|unix|/tmp/s|grpc|", true, false},
		{"1|2|unix|/tmp/s|grpc|", true, false},
		{"1|1|pipe|/tmp/s|grpc|", false, false},
		{"x|1|unix|/tmp/s|grpc|", false, false},
		{"1|1|unix", false, false},
		{"", false, false},
	}
	for _, test := range tests {
		shake, ok := parseHandshake([]byte(test.line))
		if ok != test.looks {
			t.Errorf("%q looks like a handshake: %v", test.line, ok)
		}
		if good := ok && shake.check("p") == nil; good != test.good {
			t.Errorf("%q is good: %v", test.line, good)
		}
	}
}

func FuzzParseHandshake(f *testing.F) {
	f.Add([]byte("1|1|unix|/tmp/s|grpc|"))
	f.Add([]byte("9999999999999999999|1|unix|\x00|grpc|||||"))
	f.Fuzz(func(t *testing.T, line []byte) {
		shake, ok := parseHandshake(line)
		if !ok || shake.check("p") != nil {
			return
		}
		again, ok := parseHandshake([]byte(shake.line()))
		if !ok || again != shake {
			t.Errorf("%q becomes %q", line, shake.line())
		}
		if strings.Count(shake.line(), "\n") != 1 {
			t.Errorf("%q is more than one line", shake.line())
		}
	})
}

func FuzzStderr(f *testing.F) {
	f.Add([]byte(`{"@message":1,"@timestamp":1.5}`+"\n[INFO] x\npanic: y\n\tz"), 3)
	f.Add([]byte(`{"@message":{"a":[null]},"@level":[]}`), 100)
	f.Add(bytes.Repeat([]byte("long "), 20000), 7)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		v := newTestVoice(io.Discard)
		w := v.stderr()
		for rest := text; len(rest) > 0; {
			n := min(len(rest), max(piece, 1))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		_ = w.Close()
		v.close()
		last := v.last()
		if len(last) > tailBytes || !utf8.ValidString(last) {
			t.Errorf("the tail has %d bytes, valid: %v", len(last), utf8.ValidString(last))
		}
		for _, r := range last {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("the tail holds the control character %q", r)
			}
		}
	})
}
