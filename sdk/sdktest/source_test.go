package sdktest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// counting is a source with n jobs, 1 to n.
type counting struct {
	n        int
	released chan sdk.Release
	reported chan sdk.Report
}

func (c *counting) Take(ctx context.Context, in *sdk.Intake) error {
	in.Disconnected("not yet")
	in.Connected()
	in.Count("taken", 0)
	for i := range c.n {
		claim, err := in.Claim(ctx)
		if err != nil {
			return nil //nolint:nilerr // core wants no more
		}
		key := sdk.JobKey{ID: string(rune('1' + i)), Attempt: 1}
		offer := sdk.Offer{
			Key: key, Image: "i", Commands: []string{"c"}, Handle: []byte("h"), Deadline: time.Unix(1<<33, 0).UTC(), Lease: time.Minute,
			Variables: []sdk.JobVariable{{Key: "K", Value: "V", Sensitive: true, Scope: "init"}}, Files: []sdk.JobFile{{Name: "f", Contents: []byte{0xff}}},
		}
		if err := claim.Offer(offer); err != nil {
			return err
		}
		in.Count("taken", 1)
	}
	return nil // which asks for the end of the runner
}

func (c *counting) Released(_ context.Context, release sdk.Release) error {
	c.released <- release
	return nil
}

func (c *counting) AppendLogs(_ context.Context, logs sdk.Logs) ([]sdk.RefusedLines, error) {
	if len(logs.Lines) == 0 {
		return nil, errors.New("there are no lines")
	}
	return []sdk.RefusedLines{{FirstLine: logs.FirstLine, Count: 1, Message: string(logs.Lines[0])}}, nil
}

func (c *counting) Report(_ context.Context, report sdk.Report) error {
	c.reported <- report
	return nil
}

func TestSource(t *testing.T) {
	c := &counting{n: 3, released: make(chan sdk.Release, 3), reported: make(chan sdk.Report, 3)}
	plugin := sdk.Plugin{Name: "counting", Source: sdk.Jobs(func(context.Context, string, struct{}) (*counting, error) { return c, nil })}
	r := sdktest.Source(t, plugin, sdktest.SourceOptions{})
	r.Status(true)

	first := r.Offer()
	want := sdk.Offer{
		Key: sdk.JobKey{ID: "1", Attempt: 1}, Image: "i", Commands: []string{"c"}, Handle: []byte("h"), Deadline: time.Unix(1<<33, 0).UTC(), Lease: time.Minute,
		Variables: []sdk.JobVariable{{Key: "K", Value: "V", Sensitive: true, Scope: "init"}}, Files: []sdk.JobFile{{Name: "f", Contents: []byte{0xff}}},
	}
	if d := cmp.Diff(want, first); d != "" {
		t.Errorf("the offer (-want +got):\n%s", d)
	}
	r.NoOffer(50 * time.Millisecond) // its slot is the only one
	refused, err := r.AppendLogs(t.Context(), sdk.Logs{Job: first.Key, Handle: first.Handle, FirstLine: 7, Lines: [][]byte{[]byte("x")}})
	if d := cmp.Diff([]sdk.RefusedLines{{FirstLine: 7, Count: 1, Message: "x"}}, refused); d != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, d)
	}
	if _, err := r.AppendLogs(t.Context(), sdk.Logs{Job: first.Key}); err == nil {
		t.Error("an error of the source's is lost")
	}
	code := int32(3)
	report := sdk.Report{
		Job: first.Key, Handle: first.Handle, Outcome: "failed", Reason: "r", Message: "m", ExitCode: &code,
		Variables: []sdk.Variable{{Key: "k", Value: []byte("v")}}, Infrastructure: true, StartedAt: time.Unix(1, 0).UTC(), FinishedAt: time.Unix(2, 0).UTC(),
	}
	if err := r.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(report, <-c.reported); d != "" {
		t.Errorf("the report (-want +got):\n%s", d)
	}

	second := r.Offer()
	r.Release(second, true, "m")
	if d := cmp.Diff(sdk.Release{Job: second.Key, Handle: second.Handle, Duplicate: true, Message: "m"}, <-c.released); d != "" {
		t.Errorf("the release (-want +got):\n%s", d)
	}
	r.Offer()
	if message := r.Drained(); message == "" {
		t.Error("the source ends without a word")
	}
	if n := r.Counters()["taken"]; n != 3 {
		t.Errorf("the counter is %d", n)
	}
	r.Close()
	if err := r.Err(); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
}

// scaling is a source with an opinion.
type scaling struct {
	counting
	fails error
}

func (s *scaling) Scale(_ context.Context, current, concurrency int) (int, error) {
	return current*1000 - concurrency, s.fails
}

// TestSourceScales: what a source says of the number of runners comes back, and one without an opinion says that it has none.
func TestSourceScales(t *testing.T) {
	s := &scaling{}
	r := sdktest.Source(t, sdk.Plugin{Name: "a", Source: sdk.Jobs(func(context.Context, string, struct{}) (*scaling, error) { return s, nil })}, sdktest.SourceOptions{})
	for want, question := range map[int][2]int{2997: {3, 3}, 0: {1, 2000}} {
		if n, err := r.Scale(t.Context(), question[0], question[1]); err != nil || n != want {
			t.Errorf("%v is answered with %d, %v; want %d", question, n, err, want)
		}
	}
	s.fails = errors.New("the queue is away")
	if _, err := r.Scale(t.Context(), 3, 3); status.Code(err) != codes.Unknown || status.Convert(err).Message() != "the queue is away" {
		t.Errorf("an error of the source is %v", err)
	}
	none := sdktest.Source(t, sdk.Plugin{Name: "a", Source: sdk.Jobs(func(context.Context, string, struct{}) (*counting, error) { return &counting{}, nil })}, sdktest.SourceOptions{})
	if _, err := none.Scale(t.Context(), 3, 3); status.Code(err) != codes.Unimplemented {
		t.Errorf("a source without an opinion answers %v", err)
	}
}

func TestSourceWithoutCredit(t *testing.T) {
	c := &counting{n: 2}
	plugin := sdk.Plugin{Name: "counting", Source: sdk.Jobs(func(context.Context, string, struct{}) (*counting, error) { return c, nil })}
	r := sdktest.Source(t, plugin, sdktest.SourceOptions{Manual: true, Concurrency: 2})
	r.NoOffer(50 * time.Millisecond)
	r.Grant(1)
	r.Offer()
	r.NoOffer(50 * time.Millisecond)
	r.Grant(1)
	r.Offer()
	r.Break()
}
