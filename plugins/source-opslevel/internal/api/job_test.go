package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNumber(t *testing.T) {
	for id, want := range map[string]string{
		"Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMzQ1": "12345",
		"Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMw==": "123",
		"Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMw":   "123",
		// These are base64 by accident, or not at all.
		"1": "", "12": "", "1234": "", "12345": "", "job-1": "", "": "",
	} {
		if got := Number(id); got != want {
			t.Errorf("Number(%q) is %q, want %q", id, got, want)
		}
	}
}

// FuzzParseJob: whatever comes, there is a job with an id, or an error that says nothing of what came.
func FuzzParseJob(f *testing.F) {
	f.Add([]byte(`{"id":"a","image":"i","commands":["c"],"variables":[{"key":"K","value":"v","sensitive":true,"scope":null}],"files":[{"name":"n","contents":"c"}]}`))
	f.Add([]byte(`{"id":12,"commands":null,"files":{}}`))
	f.Add([]byte(`{"id":{"canary":1},"image":"canary"}`))
	f.Add([]byte(`{"id":"x","image":["canary"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		job, err := parseJob(raw)
		if err == nil {
			if job.ID == "" {
				t.Error("a job without an id")
			}
			return
		}
		var broken *BrokenJob
		if !errors.As(err, &broken) {
			t.Errorf("%T: %v", err, err)
		}
		if broken != nil && broken.ID != "" && strings.Contains(strings.ToLower(err.Error()), "canary") && !strings.Contains(string(raw), `"canary":`) {
			t.Errorf("%q stands in %v", raw, err)
		}
	})
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{`"a\n"`: "a\n", `12`: "12", `1.5e3`: "1.5e3", `true`: "true", `null`: ""} {
		var got text
		if err := json.Unmarshal([]byte(in), &got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{`{}`, `[]`, `["a"]`} {
		var got text
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s is taken as %q", in, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "0": time.Second, "7": 7 * time.Second, "99999": 99999 * time.Second, "99999999999999999999": maxRetryAfter,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	g := &gate{}
	g.shut(24 * time.Hour)
	if wait := time.Until(g.until); wait > maxRetryAfter {
		t.Errorf("the gate is shut for %s", wait)
	}
}

// TestEmptyLines: a line without characters is an empty text, however it is given.
func TestEmptyLines(t *testing.T) {
	var got struct {
		Variables struct {
			Input struct {
				LogChunk []*string `json:"logChunk"`
			} `json:"input"`
		} `json:"variables"`
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"data":{"runnerAppendJobLog":{"errors":[]}}}`)
	}))
	defer server.Close()
	c := New(Options{URL: server.URL, Token: "t", Timeout: time.Second})
	defer c.Close()
	lines := [][]byte{[]byte("a"), nil, {}, []byte("b"), nil}
	if err := c.Append(t.Context(), Append{Runner: "r", Job: "j", SentAt: time.Now(), Lines: lines}); err != nil {
		t.Fatal(err)
	}
	want := []string{"YQ==", "", "", "Yg==", ""}
	for i, line := range got.Variables.Input.LogChunk {
		if line == nil || *line != want[i] {
			t.Errorf("line %d is %v", i, line)
		}
	}
	if len(got.Variables.Input.LogChunk) != len(want) || lines[1] != nil {
		t.Errorf("%d lines were sent; the caller's are %v", len(got.Variables.Input.LogChunk), lines)
	}
}
