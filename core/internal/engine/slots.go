package engine

import (
	"sync"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// slots divides the runner's concurrency between the sources. A slot is free, granted to a source as credit, or taken by a
// job. Each source that runs nothing is granted one as long as there is any, so that none is starved by a busy one; the
// rest is granted in equal parts.
//
// A grant that is taken back is free only when the source has said that no job can come of it any more: until then it may
// be asking its remote system for one.
type slots struct {
	mu    sync.Mutex
	total int
	lanes []*lane
}

// lane is one source's part of the slots.
type lane struct {
	slots *slots
	// most is how many jobs of this source may run at once.
	most int
	// changed is called, with the lock held, when there is a Credit to send.
	changed func()
	// wants is how many jobs wait that no source offers: as many slots are not granted. vacant gets a value when there may be
	// a slot for one.
	wants  int
	vacant chan struct{}

	running int
	// open: a stream is open, and so grants can be made.
	open bool
	// drained: nothing more is granted.
	drained bool

	// These count offers on the present stream. seen is those that have come, limit those that the latest Credit allows in
	// all, and ceiling those that may still come: it is above limit as long as the source has not confirmed a lower one.
	seen, limit, ceiling uint64
	// number is that of the latest Credit, unsent says that it is still to be sent.
	number uint64
	unsent bool
}

func newSlots(total int) *slots { return &slots{total: total} }

// lane adds a source of which at most most jobs run at once.
func (s *slots) lane(most int, changed func()) *lane {
	l := &lane{slots: s, most: most, changed: changed, vacant: make(chan struct{}, 1)}
	s.lanes = append(s.lanes, l)
	return l
}

// opened says that a new stream is there.
func (l *lane) opened() {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	l.open = true
	l.seen, l.limit, l.ceiling, l.number, l.unsent = 0, 0, 0, 0, false
	if l.drained {
		l.grant(0) // the source may have jobs that the stream before has lost, and has to know that they are not taken
	}
	l.slots.plan()
}

// closed says that the stream is gone, and with it everything that could have come.
func (l *lane) closed() {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	l.open = false
	l.limit, l.ceiling, l.unsent = l.seen, l.seen, false
	l.slots.plan()
}

// drain takes back what is granted, for good.
func (l *lane) drain() {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	l.drained = true
	if l.open && l.ceiling > l.seen {
		l.grant(0) // also when that is what it has: claims may be open that a lower credit has left alone
	}
	l.slots.plan()
}

// credit returns the Credit that is to be sent, nil when there is none.
func (l *lane) credit() *pluginv1.JobsRequest_Credit {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	if !l.unsent {
		return nil
	}
	l.unsent = false
	return &pluginv1.JobsRequest_Credit{Slots: uint32(l.granted()), OffersSeen: l.seen, Number: l.number, Draining: l.drained} //nolint:gosec // at most total
}

// claims takes over what the source says of jobs that may still come.
func (l *lane) claims(m *pluginv1.JobsResponse_Claims) {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	if l.unsent || m.GetCredit() != l.number {
		return // it knows an older Credit
	}
	l.ceiling = max(l.limit, m.GetOffersMade()+uint64(m.GetOpen()))
	l.slots.plan()
}

// offered says that an offer has come, and reports whether there is a slot for it; there is, unless the source has
// broken its promise. With take false the offer leads to no job.
func (l *lane) offered(take bool) bool {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	l.seen++
	granted := l.seen <= l.ceiling
	l.limit, l.ceiling = max(l.limit, l.seen), max(l.ceiling, l.seen)
	if granted && take {
		l.running++
	}
	l.slots.plan()
	return granted
}

// freed says that a job is over.
func (l *lane) freed() {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	l.running--
	l.slots.plan()
}

// want says how many jobs of this source wait that it does not offer.
func (l *lane) want(n int) {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	l.wants = n
	l.slots.plan()
}

// take takes a slot for such a job, if there is one.
func (l *lane) take() bool {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	if l.drained || !l.hasRoom() || l.slots.free() <= 0 {
		return false
	}
	l.running++
	l.wants = max(0, l.wants-1)
	l.slots.plan()
	return true
}

// pending reports whether offers may still come.
func (l *lane) pending() bool {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	return l.unsent || l.ceiling > l.seen
}

// state returns the jobs that run and the credit.
func (l *lane) state() (running, credit int) {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	return l.running, l.granted()
}

func (l *lane) granted() int  { return int(l.limit - l.seen) }   //nolint:gosec // at most total
func (l *lane) reserved() int { return int(l.ceiling - l.seen) } //nolint:gosec // at most total

// plan brings the grants up to date. Callers hold the lock.
func (s *slots) plan() {
	pool, wanted := s.total, 0
	for _, l := range s.lanes {
		pool -= l.running
		wanted += l.wanted()
	}
	targets := s.targets(pool - wanted)
	for i, l := range s.lanes {
		if targets[i] < l.granted() {
			l.grant(targets[i])
		}
	}
	free := s.free()
	for i, l := range s.lanes {
		more := min(targets[i]-l.granted(), free)
		if more > 0 {
			free -= more
			l.grant(l.granted() + more)
		}
	}
	for _, l := range s.lanes {
		if free > 0 && l.wanted() > 0 && l.hasRoom() {
			select {
			case l.vacant <- struct{}{}:
			default:
			}
		}
	}
}

// wanted is how many slots are kept for jobs that no source offers.
func (l *lane) wanted() int {
	if l.drained {
		return 0
	}
	return max(0, min(l.wants, l.most-l.running))
}

// hasRoom tells whether one more job may run, though all that the source may still offer came.
func (l *lane) hasRoom() bool { return l.running+l.reserved() < l.most }

// free is the number of slots that no job has taken and no source may use. Callers hold the lock.
func (s *slots) free() int {
	free := s.total
	for _, l := range s.lanes {
		free -= l.running + l.reserved()
	}
	return free
}

// targets divides the slots that no job has taken.
func (s *slots) targets(pool int) []int {
	targets := make([]int, len(s.lanes))
	for ; pool > 0; pool-- {
		best := -1
		for i, l := range s.lanes {
			if !l.open || l.drained || l.running+l.wanted()+targets[i] >= l.most {
				continue
			}
			if best < 0 || s.before(i, best, targets) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		targets[best]++
	}
	return targets
}

// before tells whether lane i is to get a slot before lane j: one that has none at all first, then the one that has fewer.
func (s *slots) before(i, j int, targets []int) bool {
	iNone, jNone := s.lanes[i].running+targets[i] == 0, s.lanes[j].running+targets[j] == 0
	if iNone != jNone {
		return iNone
	}
	return targets[i] < targets[j]
}

// grant makes a new Credit of n slots.
func (l *lane) grant(n int) {
	l.limit = l.seen + uint64(n) //nolint:gosec // not negative
	l.ceiling = max(l.ceiling, l.limit)
	l.number++
	l.unsent = true
	l.changed()
}
