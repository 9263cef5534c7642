// Package job has the job as core knows it, whoever handed it out: the fields of a job file, the rules for a good one,
// and the result that a job comes to.
package job

// Job is what a source hands out. A job that has passed Validate has an image, commands, and good names.
type Job struct {
	ID      string
	Attempt int
	// Number is a short form of the id, Handle the source's own note about the job, which holds no sensitive value; both may
	// be empty, and are kept with the job for a runner that takes it over.
	Number       string
	Handle       []byte
	Image        string
	Commands     []string
	InitImage    string
	InitCommands []string
	Variables    []Variable
	Files        []File
	Labels       map[string]string
}

// Variable is an environment variable of a job.
type Variable struct {
	Key       string
	Value     string
	Sensitive bool
	Scope     Scope
}

// Scope says which steps see a variable.
type Scope string

// The scopes. Both steps see a variable with no scope.
const (
	ScopeBoth Scope = ""
	ScopeInit Scope = "init"
	ScopeMain Scope = "main"
)

// File is a file that the job finds at /opslevel/<Name>, mode 0777, read-only.
type File struct {
	Name     string
	Contents []byte
}

// Secrets returns the sensitive variables with a value, whatever their scope, in order.
func (j *Job) Secrets() []Variable {
	var out []Variable
	for _, v := range j.Variables {
		if v.Sensitive && v.Value != "" {
			out = append(out, v)
		}
	}
	return out
}
