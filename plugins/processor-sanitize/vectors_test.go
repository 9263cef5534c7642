package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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
	"base64 form is not masked":                   "**********",
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

// writing is a way in which a job writes what a vector says.
type writing struct {
	name string
	// pieces makes records out of writes. ok is false for a vector that it does not fit.
	pieces func(v maskingVector) (records []sdktest.Line, ok bool)
}

var writings = []writing{
	{"lines", func(v maskingVector) ([]sdktest.Line, bool) { return v.records(0, false), true }},
	{"a piece for each write", func(v maskingVector) ([]sdktest.Line, bool) { return v.records(1<<20, true), true }},
	{"a piece for each byte", func(v maskingVector) ([]sdktest.Line, bool) { return v.records(1, true), true }},
	{"joined", func(v maskingVector) ([]sdktest.Line, bool) {
		joined := maskingVector{Writes: []write{{Stream: v.Writes[0].Stream}}}
		for _, w := range v.Writes {
			if w.Stream != v.Writes[0].Stream {
				return nil, false
			}
			joined.Writes[0].Data += w.Data
		}
		return joined.records(1<<20, true), true
	}},
}

// TestMaskingVectors runs the vectors through the plugin's process, and in this one with a crash at every record.
func TestMaskingVectors(t *testing.T) {
	program := sdktest.Start(t, sdktest.Binary{Path: build(t)})
	for _, v := range readVectors[maskingVector](t, "masking-vectors.json", 66) {
		job := jobWith(v.Secrets...)
		for _, w := range writings {
			records, ok := w.pieces(v)
			if !ok {
				continue
			}
			t.Run(v.Name+"/"+w.name, func(t *testing.T) {
				if d := cmp.Diff(v.Want, texts(program.Run(t, job, records...))); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if len(records) > 100 {
					return // a replay for each of them takes too long
				}
				if d := cmp.Diff(v.Want, texts(sdktest.Replay(t, plugin, job, records...))); d != "" {
					t.Errorf("with crashes (-want +got):\n%s", d)
				}
			})
		}
	}
}

// TestVectorsWithKills kills the plugin's process after every record.
func TestVectorsWithKills(t *testing.T) {
	kills := []string{"all-lines-short", "add-mask-runtime", "interleaved-streams", "multiline-split-writes-two-streams", "ansi-colored-match"}
	program := sdktest.Start(t, sdktest.Binary{Path: build(t)})
	for _, v := range readVectors[maskingVector](t, "masking-vectors.json", 66) {
		if !slices.Contains(kills, v.Name) {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			if d := cmp.Diff(v.Want, texts(program.Crash(t, jobWith(v.Secrets...), v.records(7, true)...))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// build makes the plugin's program.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runner-processor-sanitize")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	return path
}

func texts(result *sdktest.Result) []string {
	var out []string
	for _, l := range result.Lines {
		out = append(out, l.Text)
	}
	return out
}

// records turns writes into lines, in the order in which they are over; with pieces set, into pieces of at most n bytes, in
// the order of the writes.
func (v maskingVector) records(n int, pieces bool) []sdktest.Line {
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
			for pieces && len(text) > n {
				emit(w.Stream, text[:n], true)
				text = text[n:]
			}
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
