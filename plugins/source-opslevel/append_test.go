package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// TestAppendFaults has a call go wrong, and makes it again, as core does: no line is lost, the order is kept, and a chunk
// comes twice only when it may have arrived.
func TestAppendFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault opsleveltest.Fault
		twice bool
		// atLeast is how long the second call has to wait.
		atLeast time.Duration
	}{
		{"500 before the effect", opsleveltest.Fault{Status: 500, Body: "oops"}, false, 0},
		{"502 before the effect", opsleveltest.Fault{Status: 502}, false, 0},
		{"400 of a proxy", opsleveltest.Fault{Status: 400, Body: "<html>"}, false, 0},
		{"reset before the effect", opsleveltest.Fault{Drop: true}, false, 0},
		{"504 after the effect", opsleveltest.Fault{Status: 504, After: true}, true, 0},
		{"reset after the effect", opsleveltest.Fault{Drop: true, After: true}, true, 0},
		{"answer cut", opsleveltest.Fault{Cut: true}, true, 0},
		{"401 for a while", opsleveltest.Fault{Status: 401}, false, 0},
		{"429", opsleveltest.Fault{Status: 429}, false, 0},
		{"429 with Retry-After", opsleveltest.Fault{Status: 429, RetryAfter: "2"}, false, 1900 * time.Millisecond},
		{"503 with Retry-After", opsleveltest.Fault{Status: 503, RetryAfter: "1"}, false, 900 * time.Millisecond},
		{"no JSON", opsleveltest.Fault{Status: 200, Body: "<html>"}, false, 0},
		{"no data", opsleveltest.Fault{Status: 200, Body: "{}"}, false, 0},
		{"error of GraphQL", opsleveltest.Fault{Errors: []opsleveltest.GraphQLError{{Message: "Something went wrong"}}}, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{})
			ids := s.Add(simple("a"))
			s.Fail(appends, 2, tc.fault)
			r := run(t, s, sdktest.SourceOptions{}, map[string]any{"poll_interval": time.Hour.Nanoseconds()})
			offer := r.Offer()
			call := func(first uint64, lines ...string) error {
				_, err := r.AppendLogs(t.Context(), logsOf(offer, first, lines...))
				return err
			}
			must(t, call(1, "one"))
			begun := time.Now()
			if err := call(2, "two", "three"); status.Code(err) != codes.Unknown {
				t.Fatalf("the call that goes wrong: %v", err)
			}
			must(t, call(2, "two", "three"))
			if waited := time.Since(begun); waited < tc.atLeast {
				t.Errorf("the second call came after %s; the API had asked for %s", waited, tc.atLeast)
			}
			must(t, call(4, "four"))
			want := "one\ntwo\nthree\nfour\n"
			if tc.twice {
				want = "one\ntwo\nthree\ntwo\nthree\nfour\n"
			}
			job, _ := s.Job(ids[0])
			if got := job.Log(); got != want {
				t.Errorf("the log is %q, want %q", got, want)
			}
		})
	}
}

// TestRefusedLines: one bad line does not cost the chunk, and the gap has its number.
func TestRefusedLines(t *testing.T) {
	bad := func(line []byte) bool { return bytes.HasPrefix(line, []byte("bad")) }
	invalid := "OpsLevel API, RunnerAppendJobLog: is invalid (logChunk)"
	for _, tc := range []struct {
		name  string
		lines int
		bad   []int // from 0
		want  []sdk.RefusedLines
		most  int // requests
	}{
		{"the only one", 1, []int{0}, []sdk.RefusedLines{{FirstLine: 11, Count: 1, Message: invalid}}, 1},
		{"one among many", 1000, []int{567}, []sdk.RefusedLines{{FirstLine: 578, Count: 1, Message: invalid}}, 25},
		{"the first of many", 1000, []int{0}, []sdk.RefusedLines{{FirstLine: 11, Count: 1, Message: invalid}}, 25},
		{"the last of many", 1000, []int{999}, []sdk.RefusedLines{{FirstLine: 1010, Count: 1, Message: invalid}}, 25},
		{"two, far apart", 64, []int{3, 40}, []sdk.RefusedLines{{FirstLine: 14, Count: 1, Message: invalid}, {FirstLine: 51, Count: 1, Message: invalid}}, 30},
		{"two neighbours", 8, []int{3, 4}, []sdk.RefusedLines{{FirstLine: 14, Count: 2, Message: invalid}}, 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newAPI(t, opsleveltest.Options{RefuseLine: bad})
			ids := s.Add(simple("a"))
			r := run(t, s, sdktest.SourceOptions{}, nil)
			offer := r.Offer()
			var lines []string
			for i := range tc.lines {
				lines = append(lines, fmt.Sprint(i))
			}
			for _, i := range tc.bad {
				lines[i] = "bad " + lines[i]
			}
			refused, err := r.AppendLogs(t.Context(), logsOf(offer, 11, lines...))
			must(t, err)
			if d := cmp.Diff(tc.want, refused); d != "" {
				t.Errorf("refused (-want +got):\n%s", d)
			}
			want := ""
			for _, line := range lines {
				if !strings.HasPrefix(line, "bad") {
					want += line + "\n"
				}
			}
			job, _ := s.Job(ids[0])
			if got := job.Log(); got != want {
				t.Errorf("the log (-want +got):\n%s", cmp.Diff(want, got))
			}
			if n := count(s, appends); n > tc.most {
				t.Errorf("it took %d requests, want at most %d", n, tc.most)
			}
		})
	}
	t.Run("a line that is too large", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{MaxRequestBytes: 100_000})
		ids := s.Add(simple("a"))
		r := run(t, s, sdktest.SourceOptions{}, nil)
		refused, err := r.AppendLogs(t.Context(), logsOf(r.Offer(), 1, "a", strings.Repeat("x", 100_000), "b"))
		must(t, err)
		if len(refused) != 1 || refused[0].FirstLine != 2 || refused[0].Count != 1 || !strings.Contains(refused[0].Message, "413") {
			t.Errorf("refused: %+v", refused)
		}
		if job, _ := s.Job(ids[0]); job.Log() != "a\nb\n" {
			t.Errorf("the log is %q", job.Log())
		}
	})
	t.Run("a search that breaks off goes on", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{RefuseLine: bad})
		ids := s.Add(simple("a"))
		s.Fail(appends, 3, opsleveltest.Fault{Status: 500}) // the whole is refused, the first half is there
		r := run(t, s, sdktest.SourceOptions{}, nil)
		offer := r.Offer()
		logs := logsOf(offer, 1, "a", "b", "c", "bad")
		if _, err := r.AppendLogs(t.Context(), logs); err == nil {
			t.Fatal("the call has worked")
		}
		refused, err := r.AppendLogs(t.Context(), logs)
		must(t, err)
		if len(refused) != 1 || refused[0].FirstLine != 4 {
			t.Errorf("refused: %+v", refused)
		}
		if job, _ := s.Job(ids[0]); job.Log() != "a\nb\nc\n" {
			t.Errorf("the log is %q", job.Log())
		}
	})
	t.Run("the job, not a line", func(t *testing.T) {
		t.Parallel()
		s := newAPI(t, opsleveltest.Options{})
		ids := s.Add(simple("a"))
		r := run(t, s, sdktest.SourceOptions{}, nil)
		offer := r.Offer()
		s.End(ids[0], "execution_timeout")
		refused, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "a", "b", "c", "d"))
		must(t, err)
		if len(refused) != 1 || refused[0].Count != 4 {
			t.Errorf("refused: %+v", refused)
		}
		if n := count(s, appends); n != 1 {
			t.Errorf("it took %d requests", n)
		}
	})
}

// TestDelivery tries the search for refused lines against an API that is a function.
func TestDelivery(t *testing.T) {
	refused := &api.Error{Operation: "x", Kind: api.Refused, Message: "no"}
	broken := errors.New("broken")
	t.Run("everything is refused", func(t *testing.T) {
		d := &delivery{chunk: &chunk{first: 1}, lines: make([][]byte, 100_000), send: func([][]byte) error { return refused }}
		must(t, d.deliver(0, len(d.lines)))
		if len(d.refused) != 1 || d.refused[0].Count != 100_000 || d.requests > 40 {
			t.Errorf("%d requests, refused %+v", d.requests, d.refused)
		}
	})
	t.Run("every other line is refused", func(t *testing.T) {
		lines := make([][]byte, 100_000)
		for i := range lines {
			lines[i] = []byte{byte(i % 2)}
		}
		taken, lost := 0, uint64(0)
		d := &delivery{chunk: &chunk{first: 1}, lines: lines, send: func(part [][]byte) error {
			if bytes.Contains(bytes.Join(part, nil), []byte{1}) {
				return refused
			}
			taken += len(part)
			return nil
		}}
		must(t, d.deliver(0, len(d.lines)))
		for _, r := range d.refused {
			lost += r.Count
		}
		if d.requests > 2*maxBisect || taken+int(lost) != len(lines) {
			t.Errorf("%d requests; %d lines taken, %d told as lost, of %d", d.requests, taken, lost, len(lines))
		}
	})
	t.Run("it breaks off, and goes on", func(t *testing.T) {
		lines, sent := make([][]byte, 64), []string{}
		for i := range lines {
			lines[i] = []byte(fmt.Sprint(i))
		}
		c := &chunk{first: 1}
		for fail := 1; ; fail++ {
			n := 0
			d := &delivery{chunk: c, lines: lines, send: func(part [][]byte) error {
				if n++; n == fail%7+2 {
					return broken
				}
				for _, line := range part {
					if string(line) == "13" || string(line) == "50" {
						return refused
					}
				}
				for _, line := range part {
					sent = append(sent, string(line))
				}
				return nil
			}}
			err := d.deliver(c.done, len(lines))
			if err == nil {
				break
			}
			if !errors.Is(err, broken) || fail > 1000 {
				t.Fatalf("try %d: %v", fail, err)
			}
		}
		var want []string
		for i := range lines {
			if i != 13 && i != 50 {
				want = append(want, fmt.Sprint(i))
			}
		}
		if d := cmp.Diff(want, sent); d != "" {
			t.Errorf("sent (-want +got):\n%s", d)
		}
		if len(c.refused) != 2 {
			t.Errorf("refused: %+v", c.refused)
		}
	})
}
