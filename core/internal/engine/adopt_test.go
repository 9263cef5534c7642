package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// lasting is a run that goes on without core. It remembers what is kept with it.
type lasting struct {
	executor.Run
	taken             chan struct{}
	keepErr, leaveErr error

	mu    sync.Mutex
	notes []executor.Progress
	kept  *executor.Kept
	left  int
	hole  executor.Hole
	// leaving, unless nil, is called while it is being left.
	leaving func()
}

func newLasting(run executor.Run) *lasting { return &lasting{Run: run, taken: make(chan struct{})} }

func (l *lasting) Taken() <-chan struct{} { return l.taken }

func (l *lasting) Missing() executor.Hole { return l.hole }

func (l *lasting) Note(p executor.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, p)
}

func (l *lasting) Keep(_ context.Context, kept executor.Kept) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = &kept
	return l.keepErr
}

// Leave lets go of the run's goroutines, as Close does.
func (l *lasting) Leave(ctx context.Context) error {
	l.mu.Lock()
	l.left++
	l.mu.Unlock()
	if l.leaving != nil {
		l.leaving()
	}
	if l.leaveErr != nil {
		return l.leaveErr
	}
	return l.Close(ctx)
}

// state returns what has become of the run.
func (l *lasting) state() (kept *executor.Kept, left int, last executor.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.notes); n > 0 {
		last = l.notes[n-1]
	}
	return l.kept, l.left, last
}

// adopters is an executor whose runs last, and that has orphans.
type adopters struct {
	*executors
	signal chan struct{}

	lock    sync.Mutex
	orphans []*executor.Adopted
	runs    map[string]*lasting
	// refused are ids that reserve has refused.
	refused []string
	prepare func(id string, l *lasting)
}

func newAdopters() *adopters {
	return &adopters{executors: newExecutors(), signal: make(chan struct{}, 1), runs: map[string]*lasting{}}
}

func (a *adopters) Start(ctx context.Context, j *job.Job) (executor.Run, error) {
	run, err := a.executors.Start(ctx, j)
	if err != nil {
		return nil, err
	}
	return a.keep(j.ID, run), nil
}

func (a *adopters) keep(id string, run executor.Run) *lasting {
	a.lock.Lock()
	defer a.lock.Unlock()
	l := newLasting(run)
	if a.prepare != nil {
		a.prepare(id, l)
	}
	a.runs[id] = l
	return l
}

// run returns the run of a job, nil when it has none.
func (a *adopters) run(id string) *lasting {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.runs[id]
}

// orphan adds a job whose runner is gone; edit changes what there is of it.
func (a *adopters) orphan(id string, s *script, edit func(*executor.Adopted)) {
	run, err := s.Start(context.Background(), nil)
	if err != nil {
		panic(err)
	}
	orphan := &executor.Adopted{
		Job:    &job.Job{ID: id, Attempt: 1, Image: "x", Number: "no. " + id, Handle: []byte("handle of " + id)},
		Runner: "gone", Run: a.keep(id, run),
	}
	if edit != nil {
		edit(orphan)
	}
	a.lock.Lock()
	a.orphans = append(a.orphans, orphan)
	a.lock.Unlock()
	select {
	case a.signal <- struct{}{}:
	default:
	}
}

func (a *adopters) Orphans() <-chan struct{} { return a.signal }

func (a *adopters) Waiting() int {
	a.lock.Lock()
	defer a.lock.Unlock()
	return len(a.orphans)
}

func (a *adopters) Adopt(_ context.Context, reserve func(string) bool) (*executor.Adopted, error) {
	a.lock.Lock()
	defer a.lock.Unlock()
	for len(a.orphans) > 0 {
		orphan := a.orphans[0]
		a.orphans = a.orphans[1:]
		if reserve(orphan.Job.ID) {
			return orphan, nil
		}
		a.refused = append(a.refused, orphan.Job.ID)
	}
	return nil, nil
}

// adopting returns a service whose source resumes jobs.
func adopting(f *fakeSource, a *adopters) *Service {
	s := newService(f, a.executors)
	s.Pipelines[0].Executor, s.Pipelines[0].Kind, s.Pipelines[0].Resumes = a, "kubernetes", true
	f.endless = true
	return s
}

// serveUntil runs a service until something holds, and returns how many jobs it has left.
func serveUntil(t *testing.T, s *Service, what string, holds func() bool) (left int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen sync.WaitGroup
	seen.Go(func() {
		defer cancel()
		await(t, what, holds)
	})
	left = serveAndLeave(t, ctx, s)
	seen.Wait()
	return left
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("after 10s still not: %s", what)
			return
		}
	}
}

func (f *fakeSource) reported(ids ...string) func() bool {
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, id := range ids {
			if f.reports[id] == nil {
				return false
			}
		}
		return true
	}
}

func finished(lines ...string) *script {
	s := &script{lines: lines, result: succeeded}
	s.result.Records = uint64(len(lines))
	return s
}

// TestTakeOver: a job whose runner is gone is resumed, its log is gone through from the beginning, and only what was not
// delivered is.
func TestTakeOver(t *testing.T) {
	for _, c := range []struct {
		name      string
		delivered executor.Progress
		hole      executor.Hole
		lines     []string
		want      []string
		first     uint64
		note      executor.Progress
	}{
		{
			name: "nothing was delivered", lines: []string{"a", "b"}, want: []string{"a", "b"}, first: 1,
			note: executor.Progress{Records: 2, At: 2, Lines: 2, Sent: 2},
		},
		{
			name: "some was", delivered: executor.Progress{Records: 1, At: 1, Lines: 2, Sent: 2}, lines: []string{"a", "b", "c"}, want: []string{"c"}, first: 3,
			note: executor.Progress{Records: 3, At: 3, Lines: 3, Sent: 3},
		},
		{
			name: "with lines of core's own", delivered: executor.Progress{Records: 2, At: 2, Lines: 2, Sent: 5}, lines: []string{"a", "b", "c"}, want: []string{"c"}, first: 6,
			note: executor.Progress{Records: 3, At: 3, Lines: 3, Sent: 6},
		},
		{
			name: "all was", delivered: executor.Progress{Records: 2, At: 2, Lines: 2, Sent: 2}, lines: []string{"a", "b"},
			note: executor.Progress{Records: 2, At: 2, Lines: 2, Sent: 2},
		},
		{
			name: "the beginning is gone", delivered: executor.Progress{Records: 100, At: 90, Lines: 91, Sent: 91}, hole: executor.Hole{Records: 100, At: 90},
			lines: []string{"x", "y"}, want: []string{"y"}, first: 92,
			note: executor.Progress{Records: 2, At: 92, Lines: 92, Sent: 92}, // the run adds what is missing
		},
		{
			name: "a part behind the beginning is gone", delivered: executor.Progress{Records: 100, At: 90, Lines: 90, Sent: 90}, hole: executor.Hole{After: 2, Records: 98, At: 90},
			lines: []string{"a", "b", "x", "y"}, want: []string{"x", "y"}, first: 91,
			note: executor.Progress{Records: 4, At: 92, Lines: 92, Sent: 92},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, a := newFakeSource(t), newAdopters()
			a.prepare = func(_ string, l *lasting) { l.hole = c.hole }
			s := finished(c.lines...)
			s.inits = int(c.hole.After) //nolint:gosec // a number of lines
			a.orphan("1", s, func(o *executor.Adopted) { o.Delivered = c.delivered })
			serveUntil(t, adopting(f, a), "the job is reported", f.reported("1"))
			r := wantReport(t, f, "1", job.Success, "")
			if string(r.GetHandle()) != "handle of 1" || len(f.resumes) != 1 || string(f.resumes[0].GetHandle()) != "handle of 1" || f.resumes[0].GetJob().GetAttempt() != 1 {
				t.Errorf("the report is %v, the source was asked %v", r, f.resumes)
			}
			if !slices.Equal(f.logs["1"], c.want) {
				t.Errorf("the lines are %q, want %q", f.logs["1"], c.want)
			}
			if len(f.appends) > 0 && f.appends[0].GetFirstLine() != c.first {
				t.Errorf("the first line is number %d, want %d", f.appends[0].GetFirstLine(), c.first)
			}
			for _, n := range a.run("1").notes {
				if n.At < c.delivered.Lines {
					t.Errorf("what was delivered before is noted as %+v", n)
				}
			}
			_, left, note := a.run("1").state()
			if left != 0 || note != c.note {
				t.Errorf("left %d times, noted %+v, want %+v", left, note, c.note)
			}
		})
	}
}

// TestTakeOverInSlots: adopted jobs take slots from the source, and never more than there are.
func TestTakeOverInSlots(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	var ids []string
	for i := range 10 {
		ids = append(ids, fmt.Sprint("new-", i), fmt.Sprint("old-", i))
		f.add(ids[2*i])
		a.orphan(ids[2*i+1], finished("x"), nil)
	}
	serveUntil(t, adopting(f, a), "all jobs are reported", f.reported(ids...))
	if a.Waiting() != 0 {
		t.Errorf("%d jobs wait", a.Waiting())
	}
}

// TestTakeOverUnknown: what the source does not know any more is removed, and nobody is told.
func TestTakeOverUnknown(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
		return &pluginv1.ResumeResponse{}, nil
	}
	s := finished("a")
	a.orphan("1", s, nil)
	serveUntil(t, adopting(f, a), "the run is closed", func() bool {
		s.run.mu.Lock()
		defer s.run.mu.Unlock()
		return s.run.closes == 1
	})
	if _, left, _ := a.run("1").state(); left != 0 || len(f.reports)+len(f.appends) != 0 {
		t.Errorf("left %d times, reports %v, lines %v", left, f.reports, f.appends)
	}
}

// TestLeftAndThenUnknown: a job that this runner has left, and that its source does not know any more when it is taken over again, is
// not told of as one that the next runner reports.
func TestLeftAndThenUnknown(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	for range 1000 {
		f.reportErr = append(f.reportErr, errAway)
	}
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
		return &pluginv1.ResumeResponse{}, nil
	}
	f.add("1")
	s := adopting(f, a)
	s.Pipelines[0].GiveUp = 100 * time.Millisecond
	var jobs atomic.Int64
	s.Load = func(n int) { jobs.Store(int64(n)) }
	again := finished("a")
	found := false
	left := serveUntil(t, s, "what is left of the job is removed", func() bool {
		if !found {
			if l := a.run("1"); l == nil {
				return false
			} else if _, left, _ := l.state(); left == 0 || jobs.Load() > 0 {
				return false
			}
			found = true
			a.orphan("1", again, nil)
		}
		again.run.mu.Lock()
		defer again.run.mu.Unlock()
		return again.run.closes > 0
	})
	if left != 0 {
		t.Errorf("%d jobs are said to be left", left)
	}
}

// TestResumeFails: the job is left for another try, and its slot is free.
func TestResumeFails(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) { return nil, errAway }
	a.orphan("1", finished("a"), nil)
	s := adopting(f, a)
	s.Concurrency = 1
	added := false
	serveUntil(t, s, "the job is left and a new one reported", func() bool {
		_, left, _ := a.run("1").state()
		if left == 1 && !added {
			added = true
			f.add("2")
		}
		return left == 1 && f.reported("2")()
	})
	if f.reports["1"] != nil {
		t.Error("the job is reported")
	}
}

// TestResumedWithALease: an adopted job is like any other to the source.
func TestResumedWithALease(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
		return &pluginv1.ResumeResponse{Known: true, Lease: durationpb.New(60 * time.Millisecond)}, nil
	}
	s := &script{lines: []string{"a"}, runs: true, canceled: canceled}
	a.orphan("1", s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		await(t, "it is renewed twice", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.renewals >= 2
		})
		f.say(&pluginv1.JobsResponse{Message: &pluginv1.JobsResponse_Cancel_{
			Cancel: &pluginv1.JobsResponse_Cancel{Job: &pluginv1.JobKey{Id: "1", Attempt: 1}},
		}})
		await(t, "it is reported", f.reported("1"))
	}()
	serve(t, ctx, adopting(f, a))
	wantReport(t, f, "1", job.Canceled, job.ReasonCanceled)
}

func TestResumedWithADeadline(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
		return &pluginv1.ResumeResponse{Known: true, Deadline: timestamppb.New(time.Now().Add(grace + 100*time.Millisecond))}, nil
	}
	a.orphan("1", &script{runs: true, canceled: canceled}, nil)
	serveUntil(t, adopting(f, a), "the job is reported", f.reported("1"))
	wantReport(t, f, "1", job.ExecutionTimeout, job.ReasonReserved)
}

// TestKeptResult: a result that another runner could not report is reported as it is; nothing of the log comes again.
func TestKeptResult(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	begun := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	a.orphan("1", finished("a", "b"), func(o *executor.Adopted) {
		o.Kept = &executor.Kept{
			Result: job.Result{
				Outcome: job.Failed, Reason: job.ReasonOOMKilled, Message: "it ate **********",
				Variables: []job.OutcomeVariable{{Key: "k", Value: []byte("v")}},
			},
			Records: 2, Started: begun, Finished: begun.Add(time.Minute),
		}
	})
	serveUntil(t, adopting(f, a), "the job is reported", f.reported("1"))
	r := wantReport(t, f, "1", job.Failed, job.ReasonOOMKilled)
	if len(f.appends) != 0 || r.GetResult().GetMessage() != "it ate **********" || len(r.GetResult().GetVariables()) != 1 ||
		!r.GetStartedAt().AsTime().Equal(begun) || !r.GetFinishedAt().AsTime().Equal(begun.Add(time.Minute)) {
		t.Errorf("the report is %v, lines %v", r, f.appends)
	}
}

// TestResultIsKept: a result is kept when the source does not take it at once, and the job left when it does not take it at
// all; nothing is said of its end.
func TestResultIsKept(t *testing.T) {
	for _, c := range []struct {
		name string
		errs int
		left int
	}{
		{"it is taken at once", 0, 0},
		{"it is taken in the end", 2, 0},
		{"it is not taken", 1000, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, a := newFakeSource(t), newAdopters()
			for range c.errs {
				f.reportErr = append(f.reportErr, errAway)
			}
			f.add("1")
			s := adopting(f, a)
			s.Pipelines[0].GiveUp = 500 * time.Millisecond
			if c.left == 0 {
				s.Pipelines[0].GiveUp = time.Minute
			}
			remain := serveUntil(t, s, "the job is over", func() bool {
				if c.left == 0 {
					return f.reported("1")()
				}
				l := a.run("1")
				if l == nil {
					return false
				}
				_, left, _ := l.state()
				return left > 0
			})
			kept, left, _ := a.run("1").state()
			if (kept != nil) != (c.errs > 0) || left != c.left || remain != c.left {
				t.Errorf("kept %+v, left %d times, %d remain", kept, left, remain)
			}
			if kept != nil && (kept.Result.Outcome != job.Success || kept.Records != 1) {
				t.Errorf("kept %+v", kept)
			}
			if c.left > 0 && f.reports["1"] != nil {
				t.Error("the job is reported")
			}
		})
	}
}

// TestEndOfTheLogIsKept: the last lines of a job are left where it ran when the source does not take them.
func TestEndOfTheLogIsKept(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.add("1")
	f.appendErr = append(f.appendErr, nil)
	for range 1000 {
		f.appendErr = append(f.appendErr, errAway)
	}
	s := adopting(f, a)
	s.Pipelines[0].GiveUp = 500 * time.Millisecond
	a.first(&script{lines: []string{"a", "b", "c"}, statuses: []executor.Status{{Phase: executor.Running}, {Phase: executor.Done}}, result: succeeded})
	serveUntil(t, s, "the job is left", func() bool {
		l := a.run("1")
		if l == nil {
			return false
		}
		_, left, _ := l.state()
		return left > 0
	})
	kept, _, note := a.run("1").state()
	if kept != nil || f.reports["1"] != nil || !slices.Equal(f.logs["1"], []string{"a"}) {
		t.Errorf("kept %+v, report %v, lines %q", kept, f.reports["1"], f.logs["1"])
	}
	if want := (executor.Progress{Lines: 1, Sent: 1}); note.Lines != want.Lines || note.Sent != want.Sent {
		t.Errorf("noted %+v", note)
	}
}

// delivering returns the run of a job of which the source has lines; nil before.
func (a *adopters) delivering(f *fakeSource, id string) *lasting {
	f.mu.Lock()
	none := len(f.logs[id]) == 0
	f.mu.Unlock()
	if none {
		return nil
	}
	return a.run(id)
}

// TestTakenByAnother: nothing more is said of a job that another runner has.
func TestTakenByAnother(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.add("1")
	a.first(&script{lines: []string{"a"}, runs: true, canceled: canceled})
	serveUntil(t, adopting(f, a), "the job is let go of", func() bool {
		l := a.delivering(f, "1")
		if l == nil {
			return false
		}
		select {
		case <-l.taken:
		default:
			close(l.taken)
		}
		_, left, _ := l.state()
		return left > 0
	})
	if f.reports["1"] != nil || !slices.Equal(f.logs["1"], []string{"a"}) {
		t.Errorf("report %v, lines %q", f.reports["1"], f.logs["1"])
	}
	a.scripts["1"].run.mu.Lock()
	defer a.scripts["1"].run.mu.Unlock()
	if len(a.scripts["1"].run.cancels) != 0 {
		t.Error("the job was ended, which is another runner's")
	}
}

// TestNothingIsDeliveredOfAJobThatIsLeft: lines that wait to be delivered, behind those that are on their way, are the next
// runner's: it knows of no others than those that were noted by then.
func TestNothingIsDeliveredOfAJobThatIsLeft(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.appending = make(chan struct{}, 1)
	f.add("1")
	a.first(&script{lines: []string{"a", "b", "c", "d"}, runs: true, canceled: canceled})
	a.prepare = func(_ string, l *lasting) {
		l.leaving = func() {
			close(f.appending)
			time.Sleep(100 * time.Millisecond) // the other chunks would be delivered by then
		}
	}
	s := adopting(f, a)
	s.Pipelines[0].MaxBytes = 1 // a chunk for each line
	f.appending <- struct{}{}
	serveUntil(t, s, "the job is let go of", func() bool {
		l := a.delivering(f, "1")
		if l == nil {
			return false
		}
		select {
		case <-l.taken:
		case <-time.After(50 * time.Millisecond): // the next lines wait by then
			close(l.taken)
		}
		_, left, _ := l.state()
		return left > 0
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if lines := f.logs["1"]; slices.Contains(lines, "c") {
		t.Errorf("lines were delivered while the job was left: %q", lines)
	}
}

// TestDrainWhileAJobIsTakenOver: a job that the source has resumed when no more are to be taken has its lease renewed like any other.
func TestDrainWhileAJobIsTakenOver(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
		return &pluginv1.ResumeResponse{Known: true, Lease: durationpb.New(60 * time.Millisecond)}, nil
	}
	ctx, drain := context.WithCancel(t.Context())
	defer drain()
	var once sync.Once
	f.progressed = func() {
		once.Do(func() {
			drain()
			time.Sleep(200 * time.Millisecond) // the stream would be closed by then
		})
	}
	s := &script{runs: true, result: succeeded}
	a.orphan("1", s, nil)
	go func() {
		await(t, "it is renewed", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.renewals > 0
		})
		s.run.end()
	}()
	serve(t, ctx, adopting(f, a))
	wantReport(t, f, "1", job.Success, "")
}

// TestNoTakeOver: without a source that resumes jobs, and while draining, none is taken over.
func TestNoTakeOver(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Service, *fakeSource)
	}{
		{"the source does not resume", func(s *Service, _ *fakeSource) { s.Pipelines[0].Resumes = false }},
		{"the source ends", func(_ *Service, f *fakeSource) { f.endless = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, a := newFakeSource(t), newAdopters()
			s := adopting(f, a)
			c.edit(s, f)
			if f.endless {
				a.orphan("1", finished("a"), nil)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				serve(t, ctx, s)
			} else {
				serve(t, t.Context(), s)
				a.orphan("1", finished("a"), nil)
			}
			if a.Waiting() != 1 {
				t.Error("the job was taken over")
			}
			if err := a.run("1").Leave(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOfferOfAJobThatIsTakenOver: it does not run twice.
func TestOfferOfAJobThatIsTakenOver(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	resumed, goOn := make(chan struct{}), make(chan struct{})
	f.resume = func(*pluginv1.ResumeRequest) (*pluginv1.ResumeResponse, error) {
		close(resumed)
		<-goOn
		return &pluginv1.ResumeResponse{Known: true}, nil
	}
	a.orphan("1", finished("a"), nil)
	go func() {
		<-resumed
		f.add("1")
		await(t, "the offer is answered", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.releases) > 0
		})
		close(goOn)
	}()
	serveUntil(t, adopting(f, a), "the job is reported", f.reported("1"))
	if f.releases[0].GetDisposition() != pluginv1.Disposition_DISPOSITION_DUPLICATE || !strings.Contains(f.releases[0].GetMessage(), "taken over") {
		t.Errorf("the release is %v", f.releases[0])
	}
}

// TestNothingToBeLeft: a job that has no pod is lost when the source does not take its report, as it always was.
func TestNothingToBeLeft(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.add("1")
	for range 1000 {
		f.reportErr = append(f.reportErr, errAway)
	}
	s := adopting(f, a)
	s.Pipelines[0].GiveUp = 300 * time.Millisecond
	a.prepare = func(_ string, l *lasting) { l.keepErr, l.leaveErr = errAway, executor.ErrNothingLeft }
	left := serveUntil(t, s, "the run is closed", func() bool {
		l := a.run("1")
		if l == nil {
			return false
		}
		run := a.scripts["1"].run
		run.mu.Lock()
		defer run.mu.Unlock()
		return run.closes > 0
	})
	if left != 0 {
		t.Errorf("%d jobs are left", left)
	}
}

// TestKeptResultIsMasked: what the processors let pass is in no annotation.
func TestKeptResultIsMasked(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.reportErr = []error{errAway}
	f.offer(&pluginv1.JobsResponse_Offer{Job: &pluginv1.Job{
		Key: &pluginv1.JobKey{Id: "1", Attempt: 1}, Image: "x", Commands: []string{"true"},
		Variables: []*pluginv1.JobVariable{{Key: "TOKEN", Value: "hunter2hunter2", Sensitive: true}},
	}})
	a.first(&script{result: executor.Result{Outcome: job.Failed, Reason: job.ReasonExit, Message: "it is hunter2hunter2"}})
	serveUntil(t, adopting(f, a), "the job is reported", f.reported("1"))
	kept, _, _ := a.run("1").state()
	if kept == nil || strings.Contains(kept.Result.Message, "hunter2") || !strings.Contains(kept.Result.Message, "it is *") {
		t.Errorf("kept %+v", kept)
	}
	task := &task{}
	task.redact.Set(&job.Job{Variables: []job.Variable{{Key: "TOKEN", Value: "hunter2hunter2", Sensitive: true}}})
	result := job.Result{Variables: []job.OutcomeVariable{{Key: "k", Value: []byte("a hunter2hunter2")}}}
	if got := string(task.masked(result).Variables[0].Value); strings.Contains(got, "hunter2") || string(result.Variables[0].Value) != "a hunter2hunter2" {
		t.Errorf("kept %q, reported %q", got, result.Variables[0].Value)
	}
}

// TestRefusedResult: what the source refuses for good, no runner can report: the job is not left to any.
func TestRefusedResult(t *testing.T) {
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprint("kept: ", kept), func(t *testing.T) {
			f, a := newFakeSource(t), newAdopters()
			f.refuses, f.reportErr = true, []error{errAway}
			a.orphan("1", finished("a"), func(o *executor.Adopted) {
				if kept {
					o.Kept = &executor.Kept{Result: job.Result{Outcome: job.Success}}
				}
			})
			run := a.run("1")
			remain := serveUntil(t, adopting(f, a), "the run is closed", func() bool {
				inner := run.Run.(*fakeRun) //nolint:forcetypeassert // the test made it
				inner.mu.Lock()
				defer inner.mu.Unlock()
				return inner.closes > 0
			})
			if _, left, _ := run.state(); left != 0 || remain != 0 {
				t.Errorf("the job was left %d times, %d remain", left, remain)
			}
		})
	}
}

// TestNoReportOfAJobThatIsTaken: the very report is not made.
func TestNoReportOfAJobThatIsTaken(t *testing.T) {
	l := newLasting(nil)
	close(l.taken)
	task := &task{lasting: l, in: &intake{pipeline: &Pipeline{}, serving: &serving{Service: &Service{}}}}
	if err := task.report(Summary{}); !errors.Is(err, executor.ErrTaken) {
		t.Errorf("the error is %v", err)
	}
}

// TestRefusedLines: lines that no runner can deliver hold up no report.
func TestRefusedLines(t *testing.T) {
	f, a := newFakeSource(t), newAdopters()
	f.add("1")
	f.refuses = true
	f.appendErr = append(f.appendErr, nil)
	for range 1000 {
		f.appendErr = append(f.appendErr, errAway)
	}
	s := adopting(f, a)
	s.Pipelines[0].GiveUp = 300 * time.Millisecond
	a.first(&script{lines: []string{"a", "b", "c"}, statuses: []executor.Status{{Phase: executor.Running}, {Phase: executor.Done}}, result: succeeded})
	if left := serveUntil(t, s, "the job is reported", f.reported("1")); left != 0 {
		t.Errorf("%d jobs are left", left)
	}
}
