package job

// Outcome is the word that a source is told.
type Outcome string

// The outcomes; the words are those of the OpsLevel API.
const (
	Success          Outcome = "success"
	Failed           Outcome = "failed"
	Canceled         Outcome = "canceled"
	PodTimeout       Outcome = "pod_timeout"
	ExecutionTimeout Outcome = "execution_timeout"
	QueueTimeout     Outcome = "queue_timeout"
	Unstarted        Outcome = "unstarted"
)

// Valid reports whether o is one of the outcomes.
func (o Outcome) Valid() bool {
	switch o {
	case Success, Failed, Canceled, PodTimeout, ExecutionTimeout, QueueTimeout, Unstarted:
		return true
	}
	return false
}

// Result is how a job ended.
type Result struct {
	Outcome Outcome
	Reason  Reason
	Message string
	// ExitCode is that of the step that decided; nil when there is none.
	ExitCode  *int
	Variables []OutcomeVariable
}

// OutcomeVariable is a value that the job handed back.
type OutcomeVariable struct {
	Key   string
	Value []byte
}
