package faktory

// Told is what an application has been told of a job.
type Told struct {
	Lines    []string
	Outcomes []string
	// Variables are those of the last outcome.
	Variables map[string]string
	All       []FollowUp
}

// Heard is what an application has been told, by the runner's job id.
type Heard map[string]*Told

// Add takes follow-up jobs. One that comes twice, as it may after a lost answer, is known by its id and counts once.
func (h Heard) Add(list []FollowUp) {
	for _, f := range list {
		job := h[f.JobID]
		if job == nil {
			job = &Told{Variables: map[string]string{}}
			h[f.JobID] = job
		}
		if !job.has(f.JID) {
			job.add(f)
		}
	}
}

// Outcomes is the number of jobs that have one.
func (h Heard) Outcomes() (n int) {
	for _, job := range h {
		n += min(1, len(job.Outcomes))
	}
	return n
}

func (t *Told) has(jid string) bool {
	for _, known := range t.All {
		if known.JID == jid {
			return true
		}
	}
	return false
}

func (t *Told) add(f FollowUp) {
	t.All = append(t.All, f)
	t.Lines = append(t.Lines, f.Lines...)
	if f.Outcome != "" {
		t.Outcomes = append(t.Outcomes, f.Outcome)
		t.Variables = f.Variables
	}
}
