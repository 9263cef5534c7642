package executor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/spool"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// exit is an exit record of two records, of a command that ran from one second to another.
func exit(code, from, to int) *spool.Exit {
	return &spool.Exit{Code: code, Tally: spool.Tally{Records: 2, Checksum: 7}, Started: at(from), Finished: at(to)}
}

func killed(e *spool.Exit, signal int) *spool.Exit {
	e.Code, e.Signal = 128+signal, signal
	return e
}

func failed(f spool.Failure) *spool.Exit {
	return &spool.Exit{Code: 127, Failure: f, Error: "no such file", Finished: at(1), Tally: spool.Tally{Records: 2, Checksum: 7}}
}

func ran(name string, e *spool.Exit) *Evidence {
	return &Evidence{Name: name, Ran: true, Exit: e, Read: spool.Tally{Records: 2, Checksum: 7}}
}

func notRun(name string) *Evidence { return &Evidence{Name: name} }

// TestJudge has, above all, that no job succeeds without an exit record of its last step that says so.
func TestJudge(t *testing.T) {
	lost := Lost("its process was lost")
	for _, c := range []struct {
		name    string
		steps   []*Evidence
		ending  *Ending
		decided bool
		outcome job.Outcome
		reason  job.Reason
		message string
		code    int // -1 for none
	}{
		{"success", []*Evidence{ran("job", exit(0, 0, 1))}, nil, true, job.Success, "", "", 0},
		{"both succeed", []*Evidence{ran("init", exit(0, 0, 1)), ran("job", exit(0, 1, 2))}, nil, true, job.Success, "", "", 0},
		{"failure", []*Evidence{ran("job", exit(3, 0, 1))}, nil, true, job.Failed, job.ReasonExit, "ended with exit code 3", 3},
		{"a signal", []*Evidence{ran("job", killed(exit(0, 0, 1), 9))}, nil, true, job.Failed, job.ReasonExit, "signal 9 (SIGKILL)", 137},
		{"init fails", []*Evidence{ran("init", exit(1, 0, 1)), notRun("job")}, nil, true, job.Failed, job.ReasonInitFailed, "the commands were not run", 1},
		{"no shell", []*Evidence{ran("job", failed(spool.FailureStart))}, nil, true, job.Failed, job.ReasonStart, `step "job": no such file`, -1},
		{"a failure of another kind", []*Evidence{ran("job", failed("disk"))}, nil, true, job.Failed, job.ReasonInfrastructure, "could not be kept", 127},
		{
			"a failure with exit code 0",
			[]*Evidence{ran("job", &spool.Exit{Failure: "disk", Tally: spool.Tally{Records: 2, Checksum: 7}})},
			nil,
			true, job.Failed, job.ReasonInfrastructure, "could not be kept", 0,
		},

		{"nothing ran", []*Evidence{notRun("job")}, nil, false, job.Failed, job.ReasonInfrastructure, "was lost", -1},
		{"neither ran", []*Evidence{notRun("init"), notRun("job")}, nil, false, job.Failed, job.ReasonInfrastructure, "was lost", -1},
		{"no exit record", []*Evidence{ran("job", nil)}, nil, false, job.Failed, job.ReasonInfrastructure, "was lost", -1},
		{"init succeeds, and no more is known", []*Evidence{ran("init", exit(0, 0, 1)), notRun("job")}, nil, false, job.Failed, job.ReasonInfrastructure, "was lost", -1},
		{"init succeeds, job has no exit record", []*Evidence{ran("init", exit(0, 0, 1)), ran("job", nil)}, nil, false, job.Failed, job.ReasonInfrastructure, "was lost", -1},

		{"canceled before it ran", []*Evidence{notRun("job")}, Canceled(at(1)), true, job.Canceled, job.ReasonCanceled, "canceled", -1},
		{"canceled, no exit record", []*Evidence{ran("job", nil)}, Canceled(at(1)), true, job.Canceled, job.ReasonCanceled, "canceled", -1},
		{"canceled, and ended by it", []*Evidence{ran("job", killed(exit(0, 0, 2), 15))}, Canceled(at(1)), true, job.Canceled, job.ReasonCanceled, "canceled", 143},
		{"canceled, and ended well after it", []*Evidence{ran("job", exit(0, 0, 2))}, Canceled(at(1)), true, job.Canceled, job.ReasonCanceled, "canceled", 0},
		{"canceled at the time of its end", []*Evidence{ran("job", exit(0, 0, 1))}, Canceled(at(1)), true, job.Canceled, job.ReasonCanceled, "canceled", 0},
		{"had succeeded before", []*Evidence{ran("job", exit(0, 0, 1))}, Canceled(at(2)), true, job.Success, "", "", 0},
		{"had failed before", []*Evidence{ran("job", exit(4, 0, 1))}, Canceled(at(2)), true, job.Failed, job.ReasonExit, "exit code 4", 4},
		{"canceled between the steps", []*Evidence{ran("init", exit(0, 0, 1)), notRun("job")}, Canceled(at(2)), true, job.Canceled, job.ReasonCanceled, "canceled", -1},
		{"init had failed before", []*Evidence{ran("init", exit(1, 0, 1)), notRun("job")}, Canceled(at(2)), true, job.Failed, job.ReasonInitFailed, "", 1},
		{"expired", []*Evidence{ran("job", killed(exit(0, 0, 2), 15))}, Expired(at(1), time.Hour), true, job.ExecutionTimeout, job.ReasonLifetime, "1h0m0s", 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Decided(c.steps, c.ending); got != c.decided {
				t.Errorf("decided is %v", got)
			}
			res := Judge(c.steps, c.ending, lost)
			if res.Outcome != c.outcome || res.Reason != c.reason || !strings.Contains(res.Message, c.message) {
				t.Errorf("got %q, %q, %q; want %q, %q, and in the message %q", res.Outcome, res.Reason, res.Message, c.outcome, c.reason, c.message)
			}
			code := -1
			if res.ExitCode != nil {
				code = *res.ExitCode
			}
			if code != c.code {
				t.Errorf("the exit code is %d, want %d", code, c.code)
			}
			if info := res.Reason.Info(); res.Reason != "" && info.Outcome != res.Outcome {
				t.Errorf("the outcome %q does not go with the reason %q", res.Outcome, res.Reason)
			}
		})
	}
}

// TestJudgeTakesOtherwise has a result of which there is other evidence.
func TestJudgeTakesOtherwise(t *testing.T) {
	code := 137
	otherwise := Result{Outcome: job.Failed, Reason: job.ReasonOOMKilled, Message: "m", ExitCode: &code, Gap: "not this", Records: 99}
	got := Judge([]*Evidence{ran("init", exit(0, 0, 1)), {Name: "job"}}, nil, otherwise)
	want := Result{
		Outcome: job.Failed, Reason: job.ReasonOOMKilled, Message: "m", ExitCode: &code,
		Records: 2, Started: at(0), Finished: at(1),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGap(t *testing.T) {
	read := func(name string, records uint64, checksum uint32) *Evidence {
		e := ran(name, exit(0, 0, 1))
		e.Read = spool.Tally{Records: records, Checksum: checksum}
		return e
	}
	cut := &Evidence{Name: "job", Ran: true, Read: spool.Tally{Records: 5}}
	for _, c := range []struct {
		name  string
		steps []*Evidence
		want  string
	}{
		{"none", []*Evidence{read("init", 2, 7), read("job", 2, 7)}, ""},
		{"too few", []*Evidence{read("job", 1, 7)}, `step "job": 2 records were written and 1 read`},
		{"too many", []*Evidence{read("job", 3, 7)}, `step "job": 2 records were written and 3 read`},
		{"none read", []*Evidence{read("job", 0, 0)}, `step "job": 2 records were written and 0 read`},
		{"others", []*Evidence{read("job", 2, 8)}, `step "job": all 2 records were read, but their checksum is not that of the records written`},
		{"no end", []*Evidence{cut}, `step "job": the log has no end; 5 records of it were read`},
		{"the first one is told", []*Evidence{read("init", 1, 7), cut}, `step "init": 2 records were written and 1 read`},
		{"not run", []*Evidence{read("init", 2, 7), notRun("job")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Judge(c.steps, nil, Lost("x")).Gap; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTimesAndRecords(t *testing.T) {
	got := Judge([]*Evidence{ran("init", exit(0, 1, 2)), ran("job", exit(0, 3, 5))}, nil, Result{})
	if got.Records != 4 || !got.Started.Equal(at(1)) || !got.Finished.Equal(at(5)) {
		t.Errorf("%d records, from %v to %v", got.Records, got.Started, got.Finished)
	}
	got = Judge([]*Evidence{ran("init", exit(0, 1, 2)), ran("job", failed(spool.FailureStart))}, nil, Result{})
	if !got.Started.Equal(at(1)) || !got.Finished.Equal(at(2)) {
		t.Errorf("a step that did not start counts: from %v to %v", got.Started, got.Finished)
	}
}

// TestStatuses has a sender that never waits, and a reader that gets the last one.
func TestStatuses(t *testing.T) {
	s := NewStatuses()
	for range 3 * statusBuffer {
		s.Send(Pending, "a", "")
	}
	s.Send(Done, "z", "")
	s.Close()
	var last Status
	n := 0
	for last = range s.C {
		n++
	}
	if last.Reason != "z" || n != statusBuffer {
		t.Errorf("%d were read, the last one is %q", n, last.Reason)
	}
}
