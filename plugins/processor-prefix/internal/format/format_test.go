package format_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/plugins/processor-prefix/internal/format"
)

const (
	defaultTemplate = "{time} [{worker}] "
	defaultLayout   = time.RFC3339
)

var values = map[format.Field]string{
	format.Worker: "3", format.Job: "a\nb\x7f", format.Runner: "{step}", format.Pipeline: "main",
}

// written is in a zone that is not UTC.
var written = time.Date(2026, 1, 31, 23, 59, 59, 987654321, time.FixedZone("", 3600))

func prefixer(t *testing.T, template, layout string) *format.Prefixer {
	t.Helper()
	p, err := format.Parse(template)
	if err != nil {
		t.Fatal(err)
	}
	l, err := format.NewLayout(layout)
	if err != nil {
		t.Fatal(err)
	}
	prefixer := format.NewPrefixer(p, l, values)
	prefixer.Enter("job")
	return prefixer
}

func TestPrefix(t *testing.T) {
	cases := []struct{ name, template, layout, want string }{
		{"the default is the seed's", defaultTemplate, defaultLayout, "2026-01-31T22:59:59Z [3] "},
		{"every placeholder", "{time}|{worker}|{job}|{step}|{stream}|{runner}|{pipeline}|", "15:04", "22:59|3|a_b_|job|stderr|{step}|main|"},
		{"milliseconds", "{time} ", "05.000", "59.987 "},
		{"braces", "{{{step}}} }}{{", defaultLayout, "{job} }{"},
		{"a text", "text", defaultLayout, "text"},
		{"nothing", "", defaultLayout, ""},
		{"one placeholder twice", "{step}{step}", defaultLayout, "jobjob"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := prefixer(t, c.template, c.layout)
			if got := string(p.Prefix(written, 1, "stderr")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestPrefixesFollowTimeStepAndStream(t *testing.T) {
	p := prefixer(t, "{time} {step} {stream}", "05.00")
	next := func(ms int, index int, stream, want string) {
		t.Helper()
		when := time.UnixMilli(int64(ms))
		if got := string(p.Prefix(when, index, stream)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	next(0, 0, "stdout", "00.00 job stdout")
	next(0, 1, "stderr", "00.00 job stderr")
	next(10, 0, "stdout", "00.01 job stdout")
	next(0, 1, "stderr", "00.00 job stderr")
	p.Enter("init")
	next(10, 0, "stdout", "00.01 init stdout")
	next(2000, 1, "stderr", "02.00 init stderr")
}

func TestSecondsFollowTime(t *testing.T) {
	p := prefixer(t, "{time}", "15:04:05")
	for _, c := range []struct {
		ms   int64
		want string
	}{{-1, "23:59:59"}, {0, "00:00:00"}, {999, "00:00:00"}, {1000, "00:00:01"}, {0, "00:00:00"}} {
		if got := string(p.Prefix(time.UnixMilli(c.ms), 0, "stdout")); got != c.want {
			t.Errorf("%d ms: got %q, want %q", c.ms, got, c.want)
		}
	}
}

func TestPrefixOfTheSameSecondCostsNothing(t *testing.T) {
	p := prefixer(t, defaultTemplate, defaultLayout)
	p.Prefix(written, 0, "stdout")
	later := written.Add(time.Microsecond)
	if n := testing.AllocsPerRun(100, func() { p.Prefix(later, 0, "stdout") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestProblems(t *testing.T) {
	cases := []struct{ name, template, layout, summary, detail string }{
		{"unknown placeholder", "{tme}", defaultLayout, "Unknown placeholder", `"{tme}". There are {time}, {worker}, {job}, {step}, {stream}, {runner} and {pipeline}.`},
		{"empty placeholder", "{}", defaultLayout, "Unknown placeholder", `"{}"`},
		{"open brace", "a {time", defaultLayout, "Single brace in a prefix", "twice"},
		{"closing brace", "a } b", defaultLayout, "Single brace in a prefix", "twice"},
		{"line end", "a\nb", defaultLayout, "Line end in a prefix", `Remove "\n"`},
		{"layout of another language", "", "%Y-%m-%d", "No time in a layout", "2006-01-02 15:04:05"},
		{"empty layout", "", "", "No time in a layout", "2006-01-02 15:04:05"},
		{"line end in a layout", "", "15\n04", "Line end in a time", `Remove "\n"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := format.Parse(c.template)
			if err == nil {
				_, err = format.NewLayout(c.layout)
			}
			var p *format.Problem
			if !errors.As(err, &p) || p.Summary != c.summary || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("got %v, want %q with %q", err, c.summary, c.detail)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{defaultTemplate, "{{}}", "{", "}", "{job}{", "{{job}}"} {
		f.Add(s)
	}
	layout, err := format.NewLayout(defaultLayout)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		template, err := format.Parse(s)
		if err != nil {
			return
		}
		p := format.NewPrefixer(template, layout, values)
		if got := string(p.Prefix(written, 0, "stdout")); strings.Contains(got, "\n") {
			t.Errorf("template %q gives %q", s, got)
		}
	})
}
