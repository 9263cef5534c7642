package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// raw is a job as a server hands it out.
func raw(jid, id, more string) string {
	return fmt.Sprintf(`{"jid":%q,"queue":"default","jobtype":"legacy","args":[{"id":%q,"image":"i","commands":["c"]}],"retry":25%s}`, jid, id, more)
}

// after answers as next does, but for one verb, where f decides; "" leaves it to next.
func after(next func(verb, payload string) string, verb string, f func(payload string) string) func(verb, payload string) string {
	return func(v, payload string) string {
		if v == verb {
			if answer := f(payload); answer != "" {
				return answer
			}
		}
		return next(v, payload)
	}
}

func TestTheSameJobAgainIsNotFailed(t *testing.T) {
	server := newFake(t, jobs(raw("jid-one-1", "a", ""), raw("jid-one-1", "a", `,"failure":{"retry_count":0,"remaining":25}`)))
	r := run(t, server.url(), sdktest.SourceOptions{Concurrency: 2}, nil)
	first, again := r.Offer(), r.Offer()
	if again.Key != (sdk.JobKey{ID: "a", Attempt: 2}) {
		t.Errorf("the second delivery is %v", again.Key)
	}
	r.Release(again, true, "")
	must(t, r.Report(t.Context(), success(first)))
	r.Close()
	if fails, acks := server.sent("FAIL"), server.sent("ACK"); len(fails) != 0 || len(acks) != 1 {
		t.Errorf("FAIL %v, ACK %v", fails, acks)
	}
}

func TestAnotherJobOfTheSameIDIsFailed(t *testing.T) {
	server := newFake(t, jobs(raw("jid-one-1", "a", ""), raw("jid-two-2", "a", "")))
	r := run(t, server.url(), sdktest.SourceOptions{Concurrency: 2}, nil)
	first, other := r.Offer(), r.Offer()
	r.Release(other, true, "")
	eventually(t, "the other job is failed", func() bool { return len(server.sent("FAIL")) == 1 })
	if got, want := server.sent("FAIL")[0], `{"errtype":"duplicate","jid":"jid-two-2","message":"the job a runs already, as Faktory's job jid-one-1"}`; got != want {
		t.Errorf("FAIL %s", got)
	}
	must(t, r.Report(t.Context(), success(first)))
}

func TestLinesArePushedOnce(t *testing.T) {
	var broken atomic.Bool
	server := newFake(t, after(jobs(raw("jid-one-1", "a", "")), "PUSH", func(string) string {
		if broken.Swap(false) {
			return "-ERR no room"
		}
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	push := func(first uint64, lines ...string) error {
		_, err := r.AppendLogs(t.Context(), logsOf(offer, first, lines...))
		return err
	}
	broken.Store(true)
	if err := push(1, "a", "b"); err == nil || !strings.Contains(err.Error(), "push Runners::Faktory::AppendJobLog for job a: push a job: ERR no room") {
		t.Errorf("the error is %v", err)
	}
	must(t, push(1, "a", "b"))
	must(t, push(1, "a", "b"))      // the answer was lost
	must(t, push(2, "b", "c", "d")) // cut in another way, by a new core
	must(t, push(5, "e"))
	pushed := server.sent("PUSH")
	want := []string{`["YQ==","Yg=="]`, `["YQ==","Yg=="]`, `["Yw==","ZA=="]`, `["ZQ=="]`}
	if len(pushed) != len(want) {
		t.Fatalf("%d pushes: %v", len(pushed), pushed)
	}
	var jids []string
	for i, p := range pushed {
		if !strings.Contains(p, want[i]) {
			t.Errorf("push %d is %s", i, p)
		}
		jids = append(jids, fields("PUSH", p)["PUSH jid"])
	}
	if jids[0] != jids[1] || len(slices.Compact(slices.Sorted(slices.Values(jids)))) != 3 {
		t.Errorf("the ids are %v: a resend has that of the first try, and no two others are the same", jids)
	}
	eventually(t, "the failure is counted", func() bool { return r.Counters()[countFailed] == 1 })
	if _, ok := r.Counters()[countBatchFailed]; !ok {
		t.Error("a counter is not known")
	}
	must(t, r.Report(t.Context(), success(offer)))
}

func TestAReportHasItsEffectOnce(t *testing.T) {
	var cut atomic.Bool
	server := newFake(t, after(jobs(raw("jid-one-1", "a", ""), raw("jid-two-2", "a", "")), "ACK", func(string) string {
		if cut.Swap(false) {
			return "-ERR not now"
		}
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	cut.Store(true)
	if err := r.Report(t.Context(), success(offer)); err == nil {
		t.Error("a report is taken without an acknowledgement")
	}
	must(t, r.Report(t.Context(), success(offer)))
	must(t, r.Report(t.Context(), success(offer)))
	if pushes, acks := server.sent("PUSH"), server.sent("ACK"); len(pushes) != 1 || len(acks) != 2 {
		t.Errorf("%d pushes, %d acknowledgements", len(pushes), len(acks))
	}
	// Another job of the same id has a report of its own.
	must(t, r.Report(t.Context(), success(r.Offer())))
	if pushes, acks := server.sent("PUSH"), server.sent("ACK"); len(pushes) != 2 || len(acks) != 3 {
		t.Errorf("%d pushes, %d acknowledgements", len(pushes), len(acks))
	}
}

func TestABatchThatDoesNotOpen(t *testing.T) {
	server := newFake(t, after(jobs(raw("jid-one-1", "a", `,"custom":{"bid":"b-1"}`)), "BATCH", func(string) string { return "-ERR No such batch" }))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	for n := 1; n < maxBatchRefusals; n++ {
		if _, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "x")); err == nil {
			t.Errorf("try %d is taken", n)
		}
	}
	_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "x"))
	must(t, err)
	must(t, r.Report(t.Context(), success(offer)))
	for _, p := range server.sent("PUSH") {
		if strings.Contains(p, "bid") {
			t.Errorf("pushed: %s", p)
		}
	}
	if n := len(server.sent("BATCH")); n != maxBatchRefusals {
		t.Errorf("the batch was opened %d times", n)
	}
	eventually(t, "the failures are counted", func() bool { return r.Counters()[countBatchFailed] == maxBatchRefusals-1 })
}

func TestAnUnknownWorkerIsIntroducedAgain(t *testing.T) {
	var forgotten atomic.Bool
	server := newFake(t, after(jobs(), "BEAT", func(string) string {
		if forgotten.CompareAndSwap(false, true) {
			return "-ERR Unknown worker x"
		}
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	eventually(t, "several heartbeats", func() bool { return len(server.sent("BEAT")) > 3 })
	r.Close()
	if err := r.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	var order []string
	for _, c := range server.all() {
		if c.verb == "HELLO" || c.verb == "BEAT" {
			order = append(order, c.verb)
		}
		if c.verb == "BEAT" && (!strings.HasPrefix(c.payload, `{"rss_kb":`) || strings.Contains(c.payload, "current_state")) {
			t.Errorf("BEAT %s", c.payload)
		}
	}
	first := slices.Index(order, "BEAT")
	if second := slices.Index(order[first+1:], "BEAT"); !slices.Contains(order[first+1:first+1+second], "HELLO") {
		t.Errorf("no HELLO comes after the heartbeat that was refused: %v", order)
	}
}

func TestFetchErrorsAreFollowedByPauses(t *testing.T) {
	server := newFake(t, after(jobs(), "FETCH", func(string) string { return "-ERR database away" }))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	time.Sleep(2 * time.Second)
	r.Close()
	if n := len(server.sent("FETCH")); n < 2 || n > 25 {
		t.Errorf("%d fetches in two seconds", n)
	}
}

func TestAJobFetchedAtTheEndIsGivenBack(t *testing.T) {
	fetched := make(chan struct{})
	var once sync.Once
	server := newFake(t, after(jobs(raw("jid-one-1", "a", "")), "FETCH", func(string) string {
		once.Do(func() {
			close(fetched)
			time.Sleep(300 * time.Millisecond)
		})
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	<-fetched
	r.Break()
	eventually(t, "the job is failed", func() bool { return len(server.sent("FAIL")) == 1 })
	if fail := server.sent("FAIL")[0]; !strings.Contains(fail, "jid-one-1") || !strings.Contains(fail, "the runner could not take the job") {
		t.Errorf("FAIL %s", fail)
	}
}

// TestWhatCoreCanNotHoldIsFailed: also when Faktory would throw the job away, for pushed again it would come back for ever.
func TestWhatCoreCanNotHoldIsFailed(t *testing.T) {
	many := `{"jid":"jid-one-1","jobtype":"legacy","args":[{"commands":[""` + strings.Repeat(`,""`, 900_000) + `]}],"retry":0}`
	batch := raw("jid-two-2", "a", `,"retry":0,"custom":{"bid":"`+strings.Repeat("b", 5000)+`"}`)
	scope := `{"jid":"jid-three-3","jobtype":"legacy","args":[{"variables":[{"key":"K","scope":"` + strings.Repeat("x", 17<<20) + `"}]}],"retry":0}`
	jid := raw("jid-four-"+strings.Repeat("4", 5000), "a", `,"retry":0`)
	server := newFake(t, jobs(many, batch, scope, jid))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	eventually(t, "all are failed or pushed", func() bool { return len(server.sent("FAIL"))+len(server.sent("PUSH")) == 4 })
	r.NoOffer(100 * time.Millisecond)
	for i, want := range []string{"the job's texts have", "custom.bid has 5000 bytes", "can't be sent to core: it has", "its handle has"} {
		if i >= len(server.sent("FAIL")) {
			break
		}
		if fail := server.sent("FAIL")[i]; !strings.Contains(fail, want) {
			t.Errorf("FAIL %s", fail)
		}
	}
	if pushes := server.sent("PUSH"); len(pushes) > 0 {
		t.Errorf("pushed: %.100q", pushes)
	}
}

// TestAUniqueJobIsFailedWhenItIsGivenBack: it can't be pushed while it is reserved.
func TestAUniqueJobIsFailedWhenItIsGivenBack(t *testing.T) {
	server := newFake(t, after(jobs(`{"jid":"jid-one-1","jobtype":"legacy","args":[{}],"retry":0}`), "PUSH", func(string) string { return "-NOTUNIQUE Job not unique" }))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	r.Release(r.Offer(), false, "the runner ends")
	eventually(t, "it is failed", func() bool { return len(server.sent("FAIL")) == 1 })
}

// TestAFailureIsInsistedOn: a server that ends refuses everything for a while.
func TestAFailureIsInsistedOn(t *testing.T) {
	var refusals atomic.Int32
	server := newFake(t, after(jobs(`{"jid":"jid-one-1","jobtype":"legacy","args":[]}`, raw("jid-two-2", "a", "")), "FAIL", func(string) string {
		if refusals.Add(1) < 4 {
			return "-ERR shutdown in progress"
		}
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	r.Offer()
	if n := len(server.sent("FAIL")); n != 4 {
		t.Errorf("%d tries", n)
	}
}

func TestAServerThatHangsHoldsNothingUp(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	server := newFake(t, after(jobs(raw("jid-one-1", "a", "")), "PUSH", func(string) string {
		<-hang
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, map[string]any{"command_timeout": 30 * time.Second})
	offer := r.Offer()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := r.AppendLogs(ctx, logsOf(offer, 1, "x")); err == nil {
		t.Error("lines are taken")
	}
	must(t, r.Report(t.Context(), notRun(offer))) // no push is made for a job that Faktory tries again
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAResumeAfterTheReservation(t *testing.T) {
	server := newFake(t, jobs())
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	key := sdk.JobKey{ID: "a", Attempt: 1}
	_, known, err := r.Resume(t.Context(), key, handle{JID: "jid-one-1", Attempt: 1, Reserved: time.Now().Add(-time.Second)}.encode())
	if err == nil || known || !strings.Contains(err.Error(), "when Faktory hands it out again") {
		t.Errorf("a job whose reservation is over is gone on with, or forgotten: known %v, error %v", known, err)
	}
	_, known, err = r.Resume(t.Context(), key, handle{JID: "jid-one-1", Attempt: 1, Reserved: time.Now().Add(-forgetAfter)}.encode())
	must(t, err)
	if known {
		t.Error("a job whose reservation ended a day ago is not forgotten")
	}
	if _, _, err := r.Resume(t.Context(), key, []byte("{}")); err == nil {
		t.Error("a handle without a jid is taken")
	}
}

func TestMemoryIsFreed(t *testing.T) {
	made := make(chan *source, 1)
	var list []string
	const n = 20
	for i := range n {
		list = append(list, raw(fmt.Sprintf("jid-%06d", i), fmt.Sprint(i), ""))
	}
	server := newFake(t, jobs(list...))
	r := sdktest.Source(t, tuned(func(s *source) { made <- s }), sdktest.SourceOptions{Config: map[string]any{"url": server.url()}, Concurrency: 3})
	s := <-made
	for i := range n {
		offer := r.Offer()
		if i%2 == 0 {
			r.Release(offer, i%4 == 0, "")
			continue
		}
		_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "x"))
		must(t, err)
		must(t, r.Report(t.Context(), success(offer)))
	}
	eventually(t, "nothing is remembered", func() bool {
		s.memory.mu.Lock()
		defer s.memory.mu.Unlock()
		return len(s.memory.jobs) == 0
	})
}

// TestWhatCoreLeavesIsForgotten: core says nothing more of a job that it leaves to another runner, or gives up.
func TestWhatCoreLeavesIsForgotten(t *testing.T) {
	m := newMemory()
	now := time.Now()
	for i := range 1000 {
		m.with(handle{JID: fmt.Sprint(i), Reserved: now.Add(-forgetAfter)}, "old", func(*running) {})
	}
	ended, holds := handle{JID: "ended", Reserved: now.Add(-time.Second)}, handle{JID: "holds", Reserved: now.Add(time.Hour)}
	m.with(ended, "a", func(r *running) { r.raw, r.through = []byte("{}"), 7 })
	m.with(holds, "b", func(r *running) { r.raw = []byte("{}") })
	m.with(handle{JID: "next", Reserved: now.Add(time.Hour)}, "c", func(*running) {})
	if len(m.jobs) != 3 {
		t.Errorf("%d jobs are remembered", len(m.jobs))
	}
	m.with(ended, "a", func(r *running) {
		if r.through != 7 || r.raw != nil {
			t.Errorf("of a job whose reservation has ended it knows %+v", r)
		}
	})
	if m.forget(holds.delivery()) == nil {
		t.Error("a job that is reserved is not kept as it came")
	}
}

// TestTheJobThatRunsIsTheSame: what is still known of another job of the same id has no say in it.
func TestTheJobThatRunsIsTheSame(t *testing.T) {
	m := newMemory()
	for _, jid := range []string{"1", "2", "3", "4", "5", "6"} {
		m.with(handle{JID: jid, Reserved: time.Now().Add(time.Hour)}, "a", func(*running) {})
	}
	for _, jid := range []string{"1", "2", "3", "4", "5", "6"} {
		if got := m.runsAs("a", jid); got != jid {
			t.Errorf("job %s runs as %s", jid, got)
		}
	}
	if got := m.runsAs("a", "7"); got == "" || got == "7" {
		t.Errorf("job 7 runs as %q", got)
	}
}

// TestAFailureDoesNotMeetTheNextDelivery: Faktory takes a FAIL for whichever delivery of the job is reserved when it comes.
func TestAFailureDoesNotMeetTheNextDelivery(t *testing.T) {
	made := make(chan *source, 1)
	server := newFake(t, jobs(raw("jid-one-1", "a", ""), raw("jid-two-2", "b", "")))
	r := sdktest.Source(t, tuned(func(s *source) { made <- s }), sdktest.SourceOptions{Config: map[string]any{"url": server.url()}, Concurrency: 2})
	s := <-made
	first, second := r.Offer(), r.Offer()
	late := func(offer sdk.Offer) sdk.Offer {
		h, err := decodeHandle(offer.Handle)
		must(t, err)
		h.Reserved = time.Now().Add(-time.Second)
		offer.Handle = h.encode()
		return offer
	}
	t.Run("when the reservation has ended", func(t *testing.T) {
		must(t, s.Released(t.Context(), sdk.Release{Job: first.Key, Handle: late(first).Handle}))
		must(t, r.Report(t.Context(), notRun(late(first))))
		if fails := server.sent("FAIL"); len(fails) != 0 {
			t.Errorf("FAIL %v", fails)
		}
	})
	t.Run("when its answer was lost a while ago", func(t *testing.T) {
		h, err := decodeHandle(second.Handle)
		must(t, err)
		s.memory.with(h, second.Key.ID, func(r *running) { r.failing = time.Now().Add(-failAgain - time.Second) })
		must(t, r.Report(t.Context(), notRun(second)))
		if fails := server.sent("FAIL"); len(fails) != 0 {
			t.Errorf("FAIL %v", fails)
		}
	})
}

// TestALostAnswerToAFailureIsRemembered: and the next try comes while the job can't have been handed out again.
func TestALostAnswerToAFailureIsRemembered(t *testing.T) {
	made := make(chan *source, 1)
	var lost atomic.Int32
	inner := jobs(raw("jid-one-1", "a", ""))
	server := newFake(t, func(verb, payload string) string {
		if verb == "FAIL" && lost.Add(1) == 1 {
			return "" // the connection ends
		}
		return inner(verb, payload)
	})
	r := sdktest.Source(t, tuned(func(s *source) { made <- s }), sdktest.SourceOptions{Config: map[string]any{"url": server.url()}})
	s := <-made
	offer := r.Offer()
	h, err := decodeHandle(offer.Handle)
	must(t, err)
	if err := r.Report(t.Context(), notRun(offer)); err == nil {
		t.Error("a report whose answer was lost is taken")
	}
	s.memory.with(h, "a", func(r *running) {
		if r.failing.IsZero() {
			t.Error("nobody knows that the job may have been failed")
		}
	})
	must(t, r.Report(t.Context(), notRun(offer)))
	if fails := server.sent("FAIL"); len(fails) != 2 {
		t.Errorf("FAIL %v", fails)
	}
}

// TestAJobThatIsPushedAgainIsNotFetchedAtOnce: its acknowledgement would be taken for that delivery.
func TestAJobThatIsPushedAgainIsNotFetchedAtOnce(t *testing.T) {
	var mu sync.Mutex
	fetches, pushed := 0, false
	inner := jobs(raw("jid-one-1", "a", `,"retry":0`))
	server := newFake(t, func(verb, payload string) string {
		mu.Lock()
		defer mu.Unlock()
		switch verb {
		case "FETCH":
			if answer := inner(verb, payload); answer != "-" {
				return answer
			}
			if fetches++; pushed {
				t.Error("a job is fetched before the one that was pushed is acknowledged")
			}
			mu.Unlock()
			time.Sleep(1200 * time.Millisecond) // as a server without a job, and then the next FETCH comes at once
			mu.Lock()
			fetches--
			return noJob
		case "PUSH":
			if pushed = true; fetches > 0 {
				t.Error("a job is pushed while one is fetched")
			}
		case "ACK":
			pushed = false
		}
		return "-"
	})
	r := run(t, server.url(), sdktest.SourceOptions{Concurrency: 2}, nil)
	offer := r.Offer()
	eventually(t, "another is fetched", func() bool { return len(server.sent("FETCH")) > 1 })
	r.Release(offer, false, "the runner ends")
	eventually(t, "it is acknowledged", func() bool { return len(server.sent("ACK")) == 1 })
	r.Close()
}

// TestAJobIsPushedAgainOnce: what is tried again is the acknowledgement.
func TestAJobIsPushedAgainOnce(t *testing.T) {
	var acks atomic.Int32
	server := newFake(t, after(jobs(raw("jid-one-1", "a", `,"retry":0`)), "ACK", func(string) string {
		if acks.Add(1) < 3 {
			return "-ERR not now"
		}
		return ""
	}))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	r.Release(r.Offer(), false, "the runner ends")
	eventually(t, "it is acknowledged", func() bool { return acks.Load() == 3 })
	if pushes := server.sent("PUSH"); len(pushes) != 1 {
		t.Errorf("pushed: %v", pushes)
	}
}
