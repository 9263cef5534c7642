package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// recording is an exchange with a server that the runner before this one has had.
type recording struct {
	Input      map[string]any `json:"input"`
	Transcript []struct {
		From string `json:"from"`
		Line string `json:"line"`
	} `json:"transcript"`
}

func readRecording(t *testing.T, name string) recording {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	var r recording
	must(t, json.Unmarshal(data, &r))
	return r
}

// lines are what one side has sent.
func (r recording) lines(from string) []string {
	var list []string
	for _, x := range r.Transcript {
		if x.From == from {
			list = append(list, x.Line)
		}
	}
	return list
}

// fields flattens a command: "PUSH args.0.runnerId" to its value. A payload that is no JSON is one field.
func fields(verb, payload string) map[string]string {
	into := map[string]string{}
	var value any
	if !strings.HasPrefix(payload, "{") || json.Unmarshal([]byte(payload), &value) != nil {
		into[verb] = payload
		return into
	}
	flatten(verb, value, into)
	return into
}

func flatten(path string, value any, into map[string]string) {
	join := func(step string) string {
		if strings.Contains(path, " ") {
			return path + "." + step
		}
		return path + " " + step
	}
	switch v := value.(type) {
	case map[string]any:
		for key, x := range v {
			flatten(join(key), x, into)
		}
	case []any:
		for i, x := range v {
			flatten(join(fmt.Sprint(i)), x, into)
		}
	default:
		text, _ := json.Marshal(v)
		into[path] = string(text)
	}
}

// compare says at which fields the commands differ, in two lists that have to have the same verbs in the same order.
func compare(t *testing.T, recorded, ours []string) []string {
	t.Helper()
	verbs := func(lines []string) (list []string) {
		for _, line := range lines {
			verb, _, _ := strings.Cut(line, " ")
			list = append(list, verb)
		}
		return list
	}
	if d := cmp.Diff(verbs(recorded), verbs(ours)); d != "" {
		t.Fatalf("the commands are others (-recorded +ours):\n%s", d)
	}
	different := map[string]bool{}
	for i := range recorded {
		verb, theirs, _ := strings.Cut(recorded[i], " ")
		_, mine, _ := strings.Cut(ours[i], " ")
		a, b := fields(verb, theirs), fields(verb, mine)
		for path := range a {
			if b[path] != a[path] {
				different[path] = true
				t.Logf("%s: recorded %s, ours %s", path, a[path], b[path])
			}
		}
		for path := range b {
			if _, ok := a[path]; !ok {
				different[path] = true
				t.Logf("%s: ours alone: %s", path, b[path])
			}
		}
		if order(theirs) != order(mine) {
			t.Errorf("%s: the keys stand in another order:\n%s\n%s", verb, theirs, mine)
		}
	}
	return slices.Sorted(maps.Keys(different))
}

// keyName is a key in a JSON text; no value of the recordings looks like one.
var keyName = regexp.MustCompile(`"[A-Za-z_-]+":`)

// order is the keys of a JSON text in their order.
func order(payload string) string { return strings.Join(keyName.FindAllString(payload, -1), " ") }

// named checks that the differences are just those that have a reason.
func named(t *testing.T, got []string, reasons map[string]string) {
	t.Helper()
	if d := cmp.Diff(slices.Sorted(maps.Keys(reasons)), got); d != "" {
		t.Errorf("the differences are others than those named (-named +found):\n%s", d)
	}
}

// sessionDifferences are all the fields in which a session of this source differs from the recorded one, and why.
var sessionDifferences = map[string]string{
	"HELLO hostname":     "another machine",
	"HELLO pid":          "another process",
	"HELLO wid":          "made anew in each process; the recording has a placeholder",
	"HELLO labels.0":     "says what the worker is, and can be configured; was the version of a library",
	"PUSH jid":           "made of the job and the line, so that a resend can be told apart; was random",
	"PUSH created_at":    "another time",
	"PUSH args.0.sentAt": "another time",
	"FAIL message":       "says what has to be mended; was the text of a JSON library about a type of a program",
}

func TestSessionAgainstTheRecording(t *testing.T) {
	r := readRecording(t, "session-worker.json")
	var fetched []string
	for _, line := range r.lines("server") {
		if strings.HasPrefix(line, "$") && line != noJob {
			fetched = append(fetched, line)
		}
	}
	var mu sync.Mutex
	server := newFake(t, func(verb, _ string) string {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case verb == "BATCH":
			return "+BATCH1"
		case verb == "FETCH" && len(fetched) > 0:
			line := strings.TrimSuffix(fetched[0], "\r\n")
			fetched = fetched[1:]
			return line
		}
		return "-"
	})
	source := sdktest.Source(t, plugin, sdktest.SourceOptions{Config: map[string]any{
		"url": server.url(), "queues": []string{"runner", "other"}, "provider": "FAKTORY_URL", "pass_url": true,
	}})

	chunks := [][]string{
		{"2026-11-23T13:06:45Z [0] + echo hello"},
		{"2026-11-23T13:06:45Z [0] + echo ::set-outcome-var hello-world=42", "2026-11-23T13:06:45Z [0] hello", "2026-11-23T13:06:45Z [0] "},
	}
	for n, stamp := range []string{"2026-11-23T13:06:45Z", "2026-11-23T13:06:49Z"} {
		offer := source.Offer()
		checkOffer(t, n, offer, server.url())
		line := uint64(1)
		for _, chunk := range chunks {
			logs := logsOf(offer, line, chunk...)
			for i := range logs.Lines {
				logs.Lines[i] = bytes.ReplaceAll(logs.Lines[i], []byte("2026-11-23T13:06:45Z"), []byte(stamp))
			}
			_, err := source.AppendLogs(t.Context(), logs)
			must(t, err)
			line += uint64(len(chunk))
		}
		must(t, source.Report(t.Context(), success(offer, sdk.Variable{Key: "hello-world", Value: []byte("42")})))
	}
	eventually(t, "both bad jobs are failed", func() bool { return len(server.sent("FAIL")) == 2 })

	recorded := untilLastFail(r.lines("worker"))
	var ours []string
	for _, c := range server.all() {
		ours = append(ours, c.verb+" "+c.payload)
	}
	named(t, compare(t, recorded, untilLastFail(ours)), sessionDifferences)
	if got, want := server.sent("FAIL")[0], `{"errtype":"unknown","jid":"CCCCCCCCCCCCCCCC","message":"No handler registered for job type other"}`; got != want {
		t.Errorf("the failure of another type is %s", got)
	}
}

// untilLastFail cuts off what comes when there are no more jobs.
func untilLastFail(lines []string) []string {
	last := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "FAIL ") {
			last = i
		}
	}
	return lines[:last+1]
}

// checkOffer compares what core is given with what the recorded runner made of the same jobs.
func checkOffer(t *testing.T, n int, offer sdk.Offer, url string) {
	t.Helper()
	want := []sdk.Offer{
		{
			Key: sdk.JobKey{ID: "4213370", Attempt: 1}, Image: "alpine:edge", Commands: []string{"echo hello", "echo extra"},
			Variables: []sdk.JobVariable{
				{Key: "A", Value: "1"},
				{Key: "S", Value: "topsecret", Sensitive: true},
				{Key: "EXTRA", Value: "e", Scope: "init"}, // the recorded runner lost the scope
				{Key: "FAKTORY_PROVIDER", Value: "FAKTORY_URL"},
				{Key: "FAKTORY_URL", Value: url, Sensitive: true},
				{Key: "RUNNER_JOB_ID", Value: "4213370"},
			},
			Files: []sdk.JobFile{{Name: "a.sh", Contents: []byte("echo a")}, {Name: "b.sh", Contents: []byte("echo b")}},
		},
		{
			Key: sdk.JobKey{ID: "4213371", Attempt: 1}, Image: "alpine:3.20", Commands: []string{"echo two"},
			Variables: []sdk.JobVariable{
				{Key: "FAKTORY_BATCH_ID", Value: "BATCH1"},
				{Key: "FAKTORY_PROVIDER", Value: "FAKTORY_URL"},
				{Key: "FAKTORY_URL", Value: url, Sensitive: true},
				{Key: "RUNNER_JOB_ID", Value: "4213371"},
			},
		},
	}[n]
	left := time.Until(offer.Deadline)
	if reserve := []time.Duration{300 * time.Second, 1800 * time.Second}[n]; left > reserve-29*time.Second || left < reserve-40*time.Second {
		t.Errorf("job %d has to be over in %s; its reservation is %s", n, left, reserve)
	}
	offer.Deadline, offer.Handle = time.Time{}, nil
	if d := cmp.Diff(want, offer); d != "" {
		t.Errorf("job %d (-want +got):\n%s", n, d)
	}
}

// enqueueDifferences are as sessionDifferences, for the subcommand.
var enqueueDifferences = map[string]string{
	"HELLO hostname":  "another machine",
	"HELLO pid":       "another process",
	"HELLO labels.0":  "says what the program is, and can be configured",
	"PUSH jid":        "random, printed on standard output",
	"PUSH created_at": "another time",
}

func TestEnqueueAgainstTheRecording(t *testing.T) {
	r := readRecording(t, "enqueue.json")
	server := newFake(t, func(verb, _ string) string {
		if verb == "BATCH" {
			return "+BATCH1"
		}
		return "-"
	})
	// The recording's input has the value that counted under "reservefor", and another one under "reserve_for", which was
	// ignored. Here both are names of one key, and a file that has both is refused.
	delete(r.Input, "reserve_for")
	var jids string
	for _, batch := range []string{"", "BATCH1"} {
		if batch != "" {
			r.Input["batch"] = batch
		}
		file, err := json.Marshal(r.Input)
		must(t, err)
		code, stdout, stderr := enqueueWith(t, server.url(), string(file))
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		jids += stdout
	}
	eventually(t, "both connections end", func() bool { return len(server.sent("END")) == 2 })
	var ours []string
	for _, c := range server.all() {
		if c.verb != "END" {
			ours = append(ours, c.verb+" "+c.payload)
		}
	}
	named(t, compare(t, r.lines("worker"), ours), enqueueDifferences)
	for _, push := range server.sent("PUSH") {
		jid := fields("PUSH", push)["PUSH jid"]
		if !strings.Contains(jids, strings.Trim(jid, `"`)+"\n") {
			t.Errorf("the id %s is not among those printed:\n%s", jid, jids)
		}
	}
}
