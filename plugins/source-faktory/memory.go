package main

import (
	"sync"
	"time"
)

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
	// id is the job's id towards core, reserved the end of its reservation.
	id       string
	reserved time.Time
	// raw is the job as it came, kept only when Faktory would not try it again, see source.giveBack.
	raw []byte
	// through is the last line that has been pushed.
	through uint64
	// outcome: it has been pushed.
	outcome bool
	// batchRefusals counts how often the server would not open the job's batch.
	batchRefusals int
	// failing is when the job was failed first with no answer, zero when it was not.
	failing time.Time
}

func newMemory() *memory { return &memory{jobs: map[delivery]*running{}} }

// with runs f on the note about a job, which is made when there is none.
func (m *memory) with(h handle, id string, f func(*running)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[h.delivery()]
	if r == nil {
		m.clean()
		r = &running{id: id, reserved: h.Reserved}
		m.jobs[h.delivery()] = r
	}
	f(r)
}

// clean forgets what is of no use any more: core says nothing of a job that it leaves to another runner, or gives up. The
// whole job, which may be large, is of use only as long as it is reserved. Callers hold mu.
func (m *memory) clean() {
	for d, r := range m.jobs {
		over := time.Since(r.reserved)
		if over >= 0 {
			r.raw = nil
		}
		if over >= forgetAfter {
			delete(m.jobs, d)
		}
	}
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

// runsAs returns the jid under which a job with an id runs: jid, if that may be, else another; empty when none is known.
func (m *memory) runsAs(id, jid string) (other string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d, r := range m.jobs {
		switch {
		case r.id != id:
		case d.jid == jid:
			return jid
		default:
			other = d.jid
		}
	}
	return other
}
