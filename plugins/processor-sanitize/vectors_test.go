package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

func readVectors[V any](t *testing.T, file string, least int) []V {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []V
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < least {
		t.Fatalf("%s: only %d vectors", file, len(list))
	}
	return list
}

// changedOnPurpose are vectors of the seed in which it leaks or makes the log unreadable, with what comes out here. (Of a
// value of several lines the seed masks nothing, here each line of 8 bytes or more is; its vector has shorter ones.)
var changedOnPurpose = map[string]string{
	"one letter masks everywhere":                 "Hello",
	"shorter secret first spoils the longer one":  "x ********** y",
	"value with a trailing newline never matches": "**********",
	"asterisk secret masks the mask":              "**********",
}

func TestSeedVectors(t *testing.T) {
	type vector struct {
		Name, In, Out string
		Variables     []struct {
			Key, Value string
			Sensitive  bool
		}
	}
	changed := map[string]bool{}
	for _, v := range readVectors[vector](t, "sanitize-vectors.json", 9) {
		t.Run(v.Name, func(t *testing.T) {
			var job sdktest.Job
			for _, x := range v.Variables {
				if x.Sensitive { // core sends no other
					job.Info.Secrets = append(job.Info.Secrets, sdk.Secret{Key: x.Key, Value: []byte(x.Value)})
				}
			}
			want := v.Out
			if here, ok := changedOnPurpose[v.Name]; ok {
				if here == want {
					t.Error("it is not changed: take it off the list")
				}
				want, changed[v.Name] = here, true
			}
			sdktest.AssertLines(t, sdktest.Replay(t, plugin, job, sdktest.Lines(v.In)...), want)
		})
	}
	for name := range changedOnPurpose {
		if !changed[name] {
			t.Errorf("there is no vector %q", name)
		}
	}
}

type write struct{ Stream, Data string }

type maskingVector struct {
	Name    string
	Secrets []string
	Writes  []write
	Want    []string
}

// later are vectors that ask for what this plugin does not do yet: values in other shapes than their own, short lines
// in sequence, colours inside a value, values that the job registers, and directives that hold one.
var later = []string{
	"base64-aligned", "base64-user-colon-pass-off2", "base64-off1", "base64-url-alphabet", "base64-embedded-middle",
	"base64-wrapped-76", "hex-lower", "percent-encoding", "percent-encoding-lower-plus", "json-escape",
	"json-escape-html-safe", "json-in-json", "xml-escape", "bash-xtrace-quote", "dash-style-quote", "printf-q-backslash",
	"double-quoted-env-value", "dollar-doubled", "multiline-line-by-line", "multiline-joined-by-space",
	"multiline-escaped-newline", "all-lines-short", "json-secret-leaf", "directive-keyword-immune", "add-mask-runtime",
	"ansi-colored-match", "whitespace-collapsed",
}

// TestMaskingVectors runs the vectors as lines, and again with each write as a piece. A vector that passes has to leave the
// list of later ones.
func TestMaskingVectors(t *testing.T) {
	vectors := readVectors[maskingVector](t, "masking-vectors.json", 66)
	for _, name := range later {
		if !slices.ContainsFunc(vectors, func(v maskingVector) bool { return v.Name == name }) {
			t.Errorf("there is no vector %q", name)
		}
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			lines := masked(t, v.Secrets, v.records(false))
			if slices.Contains(later, v.Name) {
				if slices.Equal(lines, v.Want) {
					t.Error("it passes: take it off the list")
				}
				return
			}
			if d := cmp.Diff(v.Want, lines); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			// A line in pieces stands where it begins, not where it ends.
			pieces := masked(t, v.Secrets, v.records(true))
			if d := cmp.Diff(slices.Sorted(slices.Values(v.Want)), slices.Sorted(slices.Values(pieces))); d != "" {
				t.Errorf("in pieces (-want +got):\n%s", d)
			}
		})
	}
}

// masked returns what comes out of the plugin.
func masked(t *testing.T, secrets []string, records []sdktest.Line) []string {
	t.Helper()
	var job sdktest.Job
	for _, s := range secrets {
		job.Info.Secrets = append(job.Info.Secrets, sdk.Secret{Key: "KEY", Value: []byte(s)})
	}
	var out []string
	for _, l := range sdktest.Run(t, plugin, job, records...).Lines {
		out = append(out, l.Text)
	}
	return out
}

// records turns writes into lines, in the order in which they are over; with pieces set into pieces, in the order of the
// writes.
func (v maskingVector) records(pieces bool) []sdktest.Line {
	open := map[string]string{}
	begun := map[string]bool{}
	var out []sdktest.Line
	emit := func(stream, text string, partial bool) {
		l := sdktest.Line{Text: text, Partial: partial}
		if stream == "stderr" {
			l.Stream = sdk.Stderr
		}
		begun[stream] = partial
		out = append(out, l)
	}
	for _, w := range v.Writes {
		lines := strings.Split(w.Data, "\n")
		for i, text := range lines {
			text = open[w.Stream] + text
			open[w.Stream] = ""
			switch {
			case i < len(lines)-1:
				emit(w.Stream, text, false)
			case pieces && text != "":
				emit(w.Stream, text, true)
			default:
				open[w.Stream] = text
			}
		}
	}
	for stream, text := range open {
		if text != "" || begun[stream] {
			emit(stream, text, false)
		}
	}
	return out
}
