package executor

import "time"

// statusBuffer is more than a run sends, so that nothing is missed as a rule.
const statusBuffer = 8

// Statuses is a channel of statuses that never makes a sender wait. Its methods are for one goroutine at a time.
type Statuses struct{ C chan Status }

// NewStatuses makes a channel.
func NewStatuses() Statuses { return Statuses{make(chan Status, statusBuffer)} }

// Send sends a status. When the reader is slow it drops the oldest.
func (s Statuses) Send(phase Phase, reason, message string) {
	status := Status{Phase: phase, Reason: reason, Message: message, Time: time.Now()}
	for {
		select {
		case s.C <- status:
			return
		default:
		}
		select {
		case <-s.C:
		default:
		}
	}
}

// Close says that there are no more.
func (s Statuses) Close() { close(s.C) }
