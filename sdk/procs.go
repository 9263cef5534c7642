package sdk

import (
	"runtime"
	"sync"
)

// procs keeps GOMAXPROCS at the number of open jobs, from 1 up to what it was at the start. The work of one job is done
// in turns: a batch is received, processed, answered. A second processor makes none of that faster, but Go would wake up
// a thread for each turn and put it to sleep again, which costs a sixth of all CPU time of a pipeline.
type procs struct {
	mu    sync.Mutex
	limit int
	jobs  int
}

func newProcs() *procs {
	p := &procs{limit: runtime.GOMAXPROCS(0)}
	p.add(0)
	return p
}

// add says that n jobs more are open; n is negative when they are closed.
func (p *procs) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs += n
	if want := min(max(p.jobs, 1), p.limit); want != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(want)
	}
}
