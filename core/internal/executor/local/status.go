package local

import (
	"time"

	"github.com/podrunner/runner/core/internal/executor"
)

// statusBuffer is more than a run sends, so that nothing is missed as a rule.
const statusBuffer = 8

// statuses is a channel of statuses that never makes a sender wait.
type statuses struct{ c chan executor.Status }

func newStatuses() statuses { return statuses{make(chan executor.Status, statusBuffer)} }

// send sends a status. When the reader is slow it drops the oldest.
func (s statuses) send(phase executor.Phase, reason, message string) {
	status := executor.Status{Phase: phase, Reason: reason, Message: message, Time: time.Now()}
	for {
		select {
		case s.c <- status:
			return
		default:
		}
		select {
		case <-s.c:
		default:
		}
	}
}

func (s statuses) close() { close(s.c) }
