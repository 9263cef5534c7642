package main

import "sync"

// memory is what the source remembers of the jobs that run. All of it can be lost with the process: then a resend after a
// lost answer pushes a follow-up job again, with the id that it had.
type memory struct {
	mu   sync.Mutex
	jobs map[delivery]*running
	// over are the jobs reported last, for a report that comes again; a ring.
	over [reportsRemembered]delivery
	next int
}

// reportsRemembered is far more than the jobs whose reports can be under way.
const reportsRemembered = 512

// delivery names one delivery of one job by Faktory.
type delivery struct {
	jid     string
	attempt int
}

// running is a job that core has been offered.
type running struct {
	// id is the job's id towards core.
	id string
	// raw is the job as it came, kept only when Faktory would not try it again, see source.giveBack.
	raw []byte
	// through is the last line that has been pushed.
	through uint64
	// outcome: it has been pushed.
	outcome bool
	// batchRefusals counts how often the server would not open the job's batch.
	batchRefusals int
}

func newMemory() *memory { return &memory{jobs: map[delivery]*running{}} }

// with runs f on the note about a job, which is made when there is none.
func (m *memory) with(d delivery, id string, f func(*running)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[d]
	if r == nil {
		r = &running{id: id}
		m.jobs[d] = r
	}
	f(r)
}

// isOver reports whether a job's report is done.
func (m *memory) isOver(d delivery) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.over {
		if o == d {
			return true
		}
	}
	return false
}

// reported forgets a job, but that it is over.
func (m *memory) reported(d delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, d)
	m.over[m.next] = d
	m.next = (m.next + 1) % len(m.over)
}

// forget removes a job that core does not have, and returns it as it came, if that was kept.
func (m *memory) forget(d delivery) (raw []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[d]
	delete(m.jobs, d)
	if r == nil {
		return nil
	}
	return r.raw
}

// runsAs returns the jid under which a job with an id runs; empty when none is known.
func (m *memory) runsAs(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d, r := range m.jobs {
		if r.id == id {
			return d.jid
		}
	}
	return ""
}
