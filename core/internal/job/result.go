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

// Reason is a word that tells more than the outcome, out of a closed set.
type Reason string

// The reasons. Executors may add theirs; each is in docs/reasons.md.
const (
	ReasonNone Reason = ""
	// ReasonExit: the step ended with an exit code other than 0, or by a signal.
	ReasonExit Reason = "exit"
	// ReasonInitFailed: the init step failed; the job step did not run.
	ReasonInitFailed Reason = "init_failed"
	// ReasonInvalidJob: the job has a bad shape and was not started.
	ReasonInvalidJob Reason = "invalid_job"
	// ReasonStart: the step's command could not be started.
	ReasonStart Reason = "start_failed"
	// ReasonCanceled: the user or the source ended it.
	ReasonCanceled Reason = "canceled"
	// ReasonLifetime: it ran longer than it may.
	ReasonLifetime Reason = "lifetime"
	// ReasonProcessor: a processor failed and its on_error is "fail".
	ReasonProcessor Reason = "processor_failed"
	// ReasonInfrastructure: there is no evidence of how the step ended.
	ReasonInfrastructure Reason = "infrastructure"
)

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
