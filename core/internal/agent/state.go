package agent

import (
	"time"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
)

// State is what the steps of a job do.
type State struct {
	// Steps in the order in which they run.
	Steps []StepState
	// Ending is why the job is ended before its time; nil when it is not.
	Ending *Ending
}

// StepState is what one step does.
type StepState struct {
	Name  string
	Phase Phase
}

// Phase is the part of its life that a step is in.
type Phase string

// The phases.
const (
	// Waiting: its container has not come, or the steps before it are not over.
	Waiting Phase = "waiting"
	Running Phase = "running"
	// Ended: it has left an exit record.
	Ended Phase = "ended"
	// Skipped: it will not be run.
	Skipped Phase = "skipped"
	// Gone: it has ended and left no exit record.
	Gone Phase = "gone"
)

// Ending is a request to end a job before its time. The first one counts.
type Ending struct {
	Why Why
	// At is by the clock of the pod's node.
	At time.Time
}

// Why is who wants a job to end before its time.
type Why string

// The ways in which a job is ended.
const (
	// Canceled: core has asked for it.
	Canceled Why = "canceled"
	// Lifetime: the steps have run for as long as they may.
	Lifetime Why = "lifetime"
	// Terminated: the cluster ends the pod.
	Terminated Why = "terminated"
)

var phases = map[Phase]agentv1.Phase{
	Waiting: agentv1.Phase_PHASE_WAITING, Running: agentv1.Phase_PHASE_RUNNING, Ended: agentv1.Phase_PHASE_ENDED,
	Skipped: agentv1.Phase_PHASE_SKIPPED, Gone: agentv1.Phase_PHASE_GONE,
}

var whys = map[Why]agentv1.Why{
	Canceled: agentv1.Why_WHY_CANCELED, Lifetime: agentv1.Why_WHY_LIFETIME, Terminated: agentv1.Why_WHY_TERMINATED,
}

func (s State) toProto() *agentv1.State {
	m := &agentv1.State{Ending: s.Ending.toProto()}
	for _, step := range s.Steps {
		m.Steps = append(m.Steps, &agentv1.Step{Name: step.Name, Phase: phases[step.Phase]})
	}
	return m
}

func (e *Ending) toProto() *agentv1.Ending {
	if e == nil {
		return nil
	}
	return &agentv1.Ending{Why: whys[e.Why], At: e.At.UnixNano()}
}

func stateOf(m *agentv1.State) State {
	s := State{Ending: endingOf(m.GetEnding())}
	for _, step := range m.GetSteps() {
		s.Steps = append(s.Steps, StepState{Name: step.GetName(), Phase: keyOf(phases, step.GetPhase())})
	}
	return s
}

func endingOf(m *agentv1.Ending) *Ending {
	if m == nil {
		return nil
	}
	return &Ending{Why: keyOf(whys, m.GetWhy()), At: time.Unix(0, m.GetAt())}
}

// keyOf returns the key of a value.
func keyOf[K, V comparable](m map[K]V, value V) K {
	var none K
	for k, v := range m {
		if v == value {
			return k
		}
	}
	return none
}
