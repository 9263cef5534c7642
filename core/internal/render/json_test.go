package render

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/podrunner/runner/core/internal/record"
)

func TestJSON(t *testing.T) {
	for name, s := range map[string]scene{
		"whole-run": wholeRun,
		"lines": {
			batch(record.StepInit, "init"),
			batch(record.StepJob, "", "<a href=\"x\">&\\", "tab\there", "\x00\x1b[0m", "\u2028", "Größe", "not \xff UTF-8", "!half…", "out", "!rest", "!\xff…", "!"),
			summaries["success"],
		},
		"variables":       {summaries["variables"]},
		"exit-code":       {summaries["exit code"]},
		"canceled":        {summaries["canceled"]},
		"hostile-message": {summaries["hostile message"]},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				s.play(t, NewJSON(&out))
				golden(t, "json-"+name, out.String())
				for line := range strings.Lines(out.String()) {
					decode(t, line)
				}
			})
		})
	}
}

// events are the events by their names.
var events = map[string]any{"status": statusEvent{}, "log": logEvent{}, "result": resultEvent{}}

// decode takes a line as the event that it says it is, with no field that the event does not have.
func decode(t *testing.T, line string) any {
	t.Helper()
	var name struct{ Event string }
	if err := json.Unmarshal([]byte(line), &name); err != nil || events[name.Event] == nil {
		t.Fatalf("no event: %s: %v", line, err)
	}
	event := reflect.New(reflect.TypeOf(events[name.Event]))
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(event.Interface()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return event.Elem().Interface()
}

// TestEventsAreDocumented compares docs/events.md with the events: each field is there, and each example is one.
func TestEventsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[reflect.Type]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "{") {
			shown[reflect.TypeOf(decode(t, line))] = true
		}
	}
	for name, event := range events {
		_, section, found := strings.Cut(string(text), "\n## "+name+"\n")
		if !found || !shown[reflect.TypeOf(event)] {
			t.Errorf("event %q has no section or no example", name)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		documented(t, name, section, reflect.TypeOf(event))
	}
}

// documented looks for each field in a section of the document, where each is a row of a table.
func documented(t *testing.T, at, section string, event reflect.Type) {
	t.Helper()
	for i := range event.NumField() {
		field := event.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !strings.Contains(section, "| `"+name+"` |") {
			t.Errorf("docs/events.md says nothing of %q in %q", name, at)
		}
		kind := field.Type
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		if kind.Kind() == reflect.Struct {
			documented(t, at+"."+name, section, kind)
		}
	}
}

// TestPlainLinesAreEncodedAlike: the short way for plain lines gives what encoding/json does.
func TestPlainLinesAreEncodedAlike(t *testing.T) {
	for c := range 256 {
		for _, flags := range []record.Flags{0, record.Stderr, record.Partial} {
			var b record.Builder
			b.Add(record.StepJob, record.Record{Flags: flags, Time: 1_500_000_000_123_000_000 + int64(c), Text: []byte{'a', byte(c), 'z'}})
			var out bytes.Buffer
			if err := NewJSON(&out).Records(b.Take()); err != nil {
				t.Fatal(err)
			}
			var event logEvent
			if err := json.Unmarshal(out.Bytes(), &event); err != nil {
				t.Fatalf("byte %#x: %v: %s", c, err, out.Bytes())
			}
			var want bytes.Buffer
			e := json.NewEncoder(&want)
			e.SetEscapeHTML(false)
			if err := e.Encode(event); err != nil {
				t.Fatal(err)
			}
			if out.String() != want.String() {
				t.Errorf("byte %#x: got %s, want %s", c, out.Bytes(), want.Bytes())
			}
		}
	}
}
