package sdk

import (
	"context"
	"reflect"
)

// Plugin is what a plugin program serves.
type Plugin struct {
	// Name is the plugin's short name, as it stands in runner.hcl: lower-case letters, digits and dashes. The program is
	// called runner-processor- or runner-source- and this name.
	Name string
	// Version is the plugin's own version, for people: "1.4.2". Empty: the version of the main module that Go has put
	// into the program.
	Version string
	// Description is one sentence, for `core plugins list`.
	Description string
	// Processor is made by [Lines] or [Batches], Source by [Jobs]. A plugin has one of the two.
	Processor Processor
	Source    Source
	// Commands are subcommands of the program, for people and for jobs. Core itself calls only "enqueue" of a source, for
	// `core enqueue`.
	Commands []Command
	// Redacts says that the processor removes what must not be seen. Core then never lets a log pass by it: when it is
	// broken, the rest of the log is withheld.
	Redacts bool
	// NeedsSecrets asks for the job's sensitive variables in [Job.Secrets].
	NeedsSecrets bool
	// ReadsOutcome asks for the lines of the steps' outcome files, as those of the stream [Outcome]. A processor that
	// Redacts gets them in any case.
	ReadsOutcome bool
}

// Processor is a log processor, as made by [Lines] or [Batches].
type Processor interface {
	// configType is the struct that the configuration is decoded into.
	configType() reflect.Type
	// checkpoints reports whether the processor's values may have checkpoints.
	checkpoints() bool
	// open makes the value of a job. config is a value of configType.
	open(ctx context.Context, job Job, config reflect.Value) (*opened, error)
}

// opened is the value of a job: what is called for its batches, and the author's value, which may implement Finisher
// and Checkpointer.
type opened struct {
	BatchProcessor
	value any
}

// Lines makes a Processor out of a function that is called at the start of each job, with the plugin's configuration,
// and returns the value that sees the job's lines. An error ends the job in this processor, as one of
// [LineProcessor] does. ctx is that of the whole job.
//
// The function is called by several goroutines at once; each value that it returns is used by one goroutine at a time.
// C is the configuration's struct, see the documentation of the package; struct{} when there is nothing to configure. P is
// best a pointer to a struct, not an interface: then `describe` can tell whether it is a [Checkpointer].
func Lines[C any, P LineProcessor](start func(ctx context.Context, job Job, config C) (P, error)) Processor {
	return processor[C, P]{start: start, adapt: func(p P) BatchProcessor { return &lineByLine{lines: p} }}
}

// Batches is [Lines] for a [BatchProcessor].
func Batches[C any, P BatchProcessor](start func(ctx context.Context, job Job, config C) (P, error)) Processor {
	return processor[C, P]{start: start, adapt: func(p P) BatchProcessor { return p }}
}
