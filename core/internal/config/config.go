// Package config reads runner.hcl: it makes a typed configuration of it, or diagnostics that say what to mend and where.
//
// What belongs to core is decoded by Load. What belongs to a plugin, the block `config {}`, stays as it is until the
// plugin's schema is known; see Use.Decode. Nothing here starts a plugin or knows what one does.
package config

import (
	"time"

	"github.com/podrunner/runner/core/internal/diag"
)

// Config is a configuration. It is not changed after Load; its methods and those of its parts are safe for concurrent
// use unless they say otherwise.
type Config struct {
	// Path is the file it was read from; "" for that of Builtin.
	Path      string
	Runner    Runner
	Telemetry Telemetry
	Scaling   Scaling
	Plugins   []*Plugin
	Pipelines []*Pipeline

	source *source
}

// CheckLocals evaluates the locals that nothing has needed so far, and says what is wrong with them. A command that
// checks a file for its own sake calls it; one that runs jobs does without what no pipeline of its asks for.
func (c *Config) CheckLocals() diag.Diagnostics {
	return c.source.convert(c.source.scope.evalLocals()).Sorted()
}

// Runner is the settings of the runner as a whole.
type Runner struct {
	// Name tells this runner from others. Default: the host's name.
	Name string `json:"name"`
	// Concurrency is the number of jobs that run at once.
	Concurrency int `json:"concurrency"`
	// PluginDir is the folder with the plugins; "" when the file does not say. A relative one starts at the folder of
	// the file; Load has joined the two.
	PluginDir string `json:"plugin_dir"`
	// DrainTimeout is how long running jobs may go on when the runner is told to stop.
	DrainTimeout time.Duration `json:"drain_timeout"`
	// LogLevel and LogFormat are those of the runner's own log, in small letters; "" when the file does not say.
	LogLevel  string `json:"log_level"`
	LogFormat string `json:"log_format"`
}

// Plugin pins a plugin, or grants it something, in all pipelines.
type Plugin struct {
	Name string
	// Checksum is "sha256:" and 64 lower-case hexadecimal digits; "" when the plugin is not pinned.
	Checksum string `json:"checksum"`
	// Env are the names of host variables that the plugin gets, beside a small base set.
	Env []string `json:"env"`
	// LogLevel is the level at which the plugin logs; "" for core's own.
	LogLevel string `json:"log_level"`
	// Range is the block's header.
	Range diag.Range
}

// Pipeline is a source, the processors that its jobs' logs go through, and how jobs are run.
type Pipeline struct {
	Name string
	// Executor is the name of the executor, one of Executors; "" when the file does not say, which means
	// DefaultExecutor.
	Executor string `json:"executor"`
	// Concurrency is the number of jobs of this pipeline that run at once; 0: as many as the runner's.
	Concurrency int `json:"concurrency"`
	// Source is nil when there is none.
	Source     *Use
	Processors []*Processor
	Deliver    Deliver
	Kubernetes Kubernetes
	Local      Local
	// Range is the block's header.
	Range diag.Range
}

// batchPart is the part of a step's spool that a batch is at most. A step may be ahead of what was delivered by half of its
// spool; were a batch larger, the step would wait for room, and the batch for more lines, until MaxInterval is over.
const batchPart = 4

// BatchBytes bounds the text of a batch that is delivered.
func (p *Pipeline) BatchBytes() int64 {
	if p.Executor == "local" {
		return p.Deliver.MaxBytes
	}
	return min(p.Deliver.MaxBytes, p.Kubernetes.SpoolSize/batchPart)
}

// Processor is the use of a processor plugin in a pipeline. A plugin may be used twice: each use is a process of its
// own with a configuration of its own.
type Processor struct {
	Use
	OnError OnError `json:"on_error"`
	// OnErrorRange is the value of on_error, or the block's header when it has none.
	OnErrorRange diag.Range
}

// OnError says what becomes of a job's log when a processor of it is broken.
type OnError string

// The ways to go on without a processor.
const (
	// OnErrorFail ends the job as failed. The default.
	OnErrorFail OnError = "fail"
	// OnErrorPass lets records by as they are. Never right for a processor that redacts.
	OnErrorPass OnError = "pass"
	// OnErrorDrop drops the records that the processor would have seen.
	OnErrorDrop OnError = "drop"
)

// Deliver bounds the batches in which a source gets a job's log. The first line always goes at once.
type Deliver struct {
	MaxBytes    int64         `json:"max_bytes"`
	MaxInterval time.Duration `json:"max_interval"`
	// GiveUp is how long a source may fail to take lines, or a result, before they are lost.
	GiveUp time.Duration `json:"give_up"`
}

// Local is the settings of the executor "local".
type Local struct {
	// Shell runs the commands of a step.
	Shell string `json:"shell"`
	// Workdir is where the job's working directory is made.
	Workdir string `json:"workdir"`
	// Lifetime is how long a job may run.
	Lifetime time.Duration `json:"lifetime"`
	// XTrace makes the shell print each command before it runs it.
	XTrace bool `json:"xtrace"`
	// Tools are programs of the folder with the plugins that jobs find at /mount, by the names that they have there.
	Tools map[string]string `json:"tools"`
	// Grace is the time between TERM and KILL when a job is ended.
	Grace time.Duration `json:"grace"`
}

// Executors are the executors that a pipeline may name.
var Executors = []string{"kubernetes", "local"}

// DefaultExecutor is the executor of a pipeline that names none.
const DefaultExecutor = "kubernetes"

// Pipeline returns the pipeline of a name. With an empty name it is the only one there is, or the one called "default".
// It returns nil when there is no such pipeline.
func (c *Config) Pipeline(name string) *Pipeline {
	if name == "" && len(c.Pipelines) == 1 {
		return c.Pipelines[0]
	}
	if name == "" {
		name = defaultPipeline
	}
	for _, p := range c.Pipelines {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// PipelineNames returns the names of all pipelines in the order of the file.
func (c *Config) PipelineNames() []string {
	var names []string
	for _, p := range c.Pipelines {
		names = append(names, p.Name)
	}
	return names
}

// Plugin returns the `plugin` block of a name, nil when there is none.
func (c *Config) Plugin(name string) *Plugin {
	for _, p := range c.Plugins {
		if p.Name == name {
			return p
		}
	}
	return nil
}
