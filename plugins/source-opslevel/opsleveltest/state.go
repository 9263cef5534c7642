package opsleveltest

import (
	"slices"
	"time"
)

// Runner is a runner that has registered.
type Runner struct {
	ID, Queue string
	// Gone is when it has unregistered, zero before that; Left are the jobs that it had then.
	Gone time.Time
	Left []string
	// Tokens are those that it was given, in order.
	Tokens []string
}

// state is what the API knows.
type state struct {
	jobs    []*JobState
	runners []*Runner
	tokens  int
	// scale is what it recommends.
	scale func(current, concurrency int) int
}

func newState() *state {
	return &state{scale: func(current, _ int) int { return current }}
}

// Add has jobs wait for a runner, in this order.
func (s *Server) Add(jobs ...Job) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	for _, j := range jobs {
		if j.ID == "" {
			j.ID = JobID(12345 + len(s.state.jobs))
		}
		s.state.jobs = append(s.state.jobs, &JobState{Job: j, Status: "pending", Outcome: "unstarted"})
		ids = append(ids, j.ID)
	}
	return ids
}

// Job returns what is known of a job; false: nothing.
func (s *Server) Job(id string) (JobState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.state.job(id)
	if j == nil {
		return JobState{}, false
	}
	return j.copy(), true
}

// Jobs returns what is known of all jobs, in the order in which they were added.
func (s *Server) Jobs() []JobState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]JobState, 0, len(s.state.jobs))
	for _, j := range s.state.jobs {
		out = append(out, j.copy())
	}
	return out
}

// Complete reports whether all jobs are over.
func (s *Server) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.state.jobs, func(j *JobState) bool { return j.Status != "complete" })
}

// End ends a job as the API does by itself, when it was not run in time. For an id that is not known it does nothing, and
// so does Forget.
func (s *Server) End(id, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	if j := s.state.job(id); j != nil {
		j.Status, j.Outcome = "complete", outcome
	}
}

// Runners returns all runners that have ever registered, in the order in which they have.
func (s *Server) Runners() []Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Runner, 0, len(s.state.runners))
	for _, r := range s.state.runners {
		one := *r
		one.Tokens = slices.Clone(r.Tokens)
		out = append(out, one)
	}
	return out
}

// Forget makes the API not know a runner any more. Any other may speak for the jobs that it has.
func (s *Server) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.state.runners {
		if r.ID == id {
			r.Gone = time.Now()
		}
	}
	for _, j := range s.state.jobs {
		if j.Runner == id {
			j.Runner = ""
		}
	}
}

// Recommend sets how many replicas the API recommends; at first it is as many as there are. The function is called by one
// goroutine at a time, and must not call the Server.
func (s *Server) Recommend(scale func(current, concurrency int) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.scale = scale
}

func (s *state) job(id string) *JobState {
	i := slices.IndexFunc(s.jobs, func(j *JobState) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	return s.jobs[i]
}

func (s *state) runner(id string) *Runner {
	i := slices.IndexFunc(s.runners, func(r *Runner) bool { return r.ID == id && r.Gone.IsZero() })
	if i < 0 {
		return nil
	}
	return s.runners[i]
}
