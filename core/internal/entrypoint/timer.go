package entrypoint

import "time"

// timer is a time limit that may not have been set; until then its C blocks.
type timer struct {
	C  <-chan time.Time
	at time.Time
	t  *time.Timer
}

// within sets the limit, or lowers it. It never raises it.
func (l *timer) within(d time.Duration) {
	at := time.Now().Add(d)
	if l.t != nil && l.at.Before(at) {
		return
	}
	l.stop()
	l.at, l.t = at, time.NewTimer(d)
	l.C = l.t.C
}

func (l *timer) stop() {
	if l.t != nil {
		l.t.Stop()
	}
}
