package main

import (
	"slices"
	"sync"

	"github.com/podrunner/runner/plugins/source-opslevel/internal/api"
	"github.com/podrunner/runner/sdk"
)

// taken is a job that the API has handed out to a runner.
type taken struct {
	runner string
	job    *api.Job
}

// jobs are those that the API has given to this runner and that are not over. Its methods are safe for concurrent use.
type jobs struct {
	mu   sync.Mutex
	list map[sdk.JobKey]*running
	// calls counts the calls about jobs.
	calls uint64
	// reported are the jobs whose outcome the API has taken last, the oldest first: core asks again when it has not heard so.
	reported []sdk.JobKey
	// stashed are jobs that core has not got yet, because its stream broke at the wrong moment; news says that there is one.
	stashed []*taken
	news    chan struct{}
}

// running is what is known of a job beside its handle. It is nothing that can't be done without: another process begins
// with none of it.
type running struct {
	runner string
	// latest is the number of the latest call about it.
	latest uint64
	// mu is held by the call about the job that is at work. Core makes one at a time, but may have given up the one before.
	mu sync.Mutex
	// chunk is the part of the log that is being sent; core sends one at a time.
	chunk chunk
	// maybe is set when an earlier try to report the outcome may have worked, though it did not look so.
	maybe bool
	// refused is why the API does not take the outcome's variables, nil when it does; told says that the job's log tells.
	refused error
	told    bool
}

func newJobs() *jobs { return &jobs{list: map[sdk.JobKey]*running{}, news: make(chan struct{}, 1)} }

// open returns what is known of a job that core has, making it known first if need be.
func (j *jobs) open(key sdk.JobKey, runner string) *running {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.list[key]
	if r == nil {
		if len(j.list) >= maxKnown {
			j.forget()
		}
		r = &running{runner: runner}
		j.list[key] = r
	}
	j.calls++
	r.latest = j.calls
	return r
}

// maxKnown is far more than the jobs that core may run at one time. Of those that it leaves to another runner, or gives up,
// it says nothing, so they stay.
const maxKnown = 4000

// forget forgets the job of which nothing was said for the longest. Callers hold mu.
func (j *jobs) forget() {
	var oldest sdk.JobKey
	least := j.calls + 1
	for key, r := range j.list {
		if r.latest < least {
			oldest, least = key, r.latest
		}
	}
	delete(j.list, oldest)
}

// begin is open for a job that the API has just handed out, perhaps not for the first time.
func (j *jobs) begin(key sdk.JobKey, runner string) {
	j.mu.Lock()
	j.reported = slices.DeleteFunc(j.reported, func(k sdk.JobKey) bool { return k == key })
	j.mu.Unlock()
	j.open(key, runner)
}

// maxReported is more than the jobs whose reports core may repeat at one time.
const maxReported = 2000

// done forgets a job, but for that the API has its outcome.
func (j *jobs) done(key sdk.JobKey) {
	j.mu.Lock()
	j.reported = append(j.reported, key)
	j.reported = j.reported[max(0, len(j.reported)-maxReported):]
	j.mu.Unlock()
	j.over(key)
}

// isDone tells whether the API has a job's outcome, as far as that is remembered.
func (j *jobs) isDone(key sdk.JobKey) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.reported, key)
}

// over forgets a job.
func (j *jobs) over(key sdk.JobKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.list, key)
}

// of counts the jobs of a runner.
func (j *jobs) of(runner string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, r := range j.list {
		if r.runner == runner {
			n++
		}
	}
	return n
}

// stash keeps a job for the next claim.
func (j *jobs) stash(t *taken) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stashed = append(j.stashed, t)
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// unstash returns the oldest job that is kept, nil when there is none.
func (j *jobs) unstash() *taken {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.stashed) == 0 {
		return nil
	}
	t := j.stashed[0]
	j.stashed = j.stashed[1:]
	return t
}
