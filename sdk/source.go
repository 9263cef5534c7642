package sdk

import (
	"context"
	"reflect"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// JobSource takes jobs from a remote system and gives it their logs and results. There is one value in a process; its
// methods are called by several goroutines at once.
//
// A job is named by its [JobKey]. Whatever core says of a job twice, because an answer was lost or because the plugin's
// process was replaced, has the effect of saying it once. A source that has to know more of a job than its key puts that
// into [Offer.Handle] and gets it back with every call, in a new process, too: so it need not remember anything.
//
// A call of AppendLogs, Report or Resume has 75 seconds at most: then its ctx ends, and what has not returned counts as
// failed and is called again later. What a method is given belongs to the call: it is not changed, and what is kept is
// copied.
type JobSource interface {
	// Take hands out jobs until ctx ends: it claims a slot, takes a job from the remote system, and offers it. It is
	// called once for each stream that core opens, one at a time, and returns promptly when ctx ends, but not before it
	// knows what has become of a job that it has begun to take. nil before that says that there are no more jobs, ever.
	// An error says that the source is broken: core logs it, and opens another stream after a pause. A remote system that
	// can't be reached is no error, but [Intake.Disconnected] and another try later.
	Take(ctx context.Context, in *Intake) error
	// Released is told that core does not run a job that it was offered, or gives it up without a result. It is called
	// once: an error is logged, and no more. For one job it is called in order, one call at a time; nothing else waits for it
	// but the end of the plugin, which has little patience. ctx ends after a minute.
	Released(ctx context.Context, release Release) error
	// AppendLogs adds lines to a job's log and returns once the remote system has them. It is called in order, one call
	// at a time for a job. An error makes core call again, later, with the same lines, so a source has no retries of its
	// own that outlast ctx. Lines that the remote system will never take are returned as refused, with no error.
	AppendLogs(ctx context.Context, logs Logs) (refused []RefusedLines, err error)
	// Report gives a job's result, after its last line, and returns once the remote system has it. Errors as with
	// AppendLogs; one that [Refused] has made says that the remote system will never take the result.
	Report(ctx context.Context, report Report) error
}

// Renewer is implemented by a JobSource whose offers have a Lease.
type Renewer interface {
	// Renew is told of jobs that still run, at least once in each half of their lease. An error is logged, and the next
	// call is the next try. What core says next waits for it, as with [JobSource.Released].
	Renew(ctx context.Context, jobs []JobKey) error
}

// Resumer is implemented by a JobSource that can go on with a job that another runner had taken.
type Resumer interface {
	// Resume does what it needs to take AppendLogs and Report for the job. known is false when the remote system no
	// longer knows it: then core removes what is left of it and tells nobody. An error has core ask again later. Of the
	// offer only Lease and Deadline count.
	Resume(ctx context.Context, job JobKey, handle []byte) (offer Offer, known bool, err error)
}

// Scaler is implemented by a JobSource that has an opinion on how many runners there should be.
type Scaler interface {
	// Scale returns how many runners there should be. There are current ones, and each is to do for concurrency jobs: those
	// that it runs at once, times the factor that its operator has set (concurrency_factor in the block scaling). The runner
	// that scales calls it once in each interval. An error leaves the number of runners where it is, unless another source
	// wishes for more.
	Scale(ctx context.Context, current, concurrency int) (replicas int, err error)
}

// Source is a job source, as made by [Jobs].
type Source interface {
	configType() reflect.Type
	traits() *pluginv1.SourceTraits
	// connect makes the source. config is a value of configType.
	connect(ctx context.Context, runner string, config reflect.Value) (JobSource, error)
}

// Jobs makes a Source out of a function that is called once in a process, with the runner's name and the plugin's
// configuration, and returns the source. An error keeps the plugin from starting, so the function opens no connection that
// may fail: the remote system may be away for a while, and [JobSource.Take] is where to try. ctx ends when the function has
// returned. If the source is an io.Closer, it is closed when core shuts the plugin down.
//
// C is the configuration's struct, see the documentation of the package. S is best a pointer to a struct, not an
// interface: then `describe` can tell what else it implements.
func Jobs[C any, S JobSource](connect func(ctx context.Context, runner string, config C) (S, error)) Source {
	return source[C, S]{connectTo: connect}
}

// JobKey names one start of one job.
type JobKey struct {
	// ID is the job's id in the remote system. Core runs no two jobs of one id at once.
	ID string
	// Attempt counts the starts of this job, from 1. 0 stands for 1.
	Attempt int
}

// Offer is a job that a source has taken from its remote system.
type Offer struct {
	Key JobKey
	// Number is a short form of the id, for names and messages; empty: core makes one of the id.
	Number string
	// Image is the image of the job step, Commands what its shell runs, one after the other, until one fails. A job
	// without them may be offered: core reports it as failed.
	Image    string
	Commands []string
	// InitImage is the image of the init step; empty: Image.
	InitImage string
	// InitCommands run before Commands in a step of their own; with none there is no such step.
	InitCommands []string
	// Variables are the job's environment. Of two with one key that a step sees both of, the later one counts.
	Variables []JobVariable
	// Files have distinct names.
	Files []JobFile
	// Labels are for processors, see [Job.Labels].
	Labels map[string]string
	// Handle is the source's own note about the job, at most 4 KiB. It comes back in Logs, Report and Resume. It holds no
	// sensitive value: core keeps it with the job's pod.
	Handle []byte
	// Lease is how long the remote system waits for a sign of life; 0: for ever. See [Renewer].
	Lease time.Duration
	// Deadline is when the remote system hands the job out again; core ends the job, and has it reported, before that.
	// Zero: never.
	Deadline time.Time
}

// JobVariable is an environment variable of a job.
type JobVariable struct {
	Key, Value string
	// Sensitive: the value is a secret. Core keeps it out of what can be seen of the job, and processors mask it.
	Sensitive bool
	// Scope is "init", "main", or empty for both steps.
	Scope string
}

// JobFile is a file of a job, at /opslevel/<Name>.
type JobFile struct {
	// Name has letters, digits, dots, dashes and underscores.
	Name     string
	Contents []byte
}

// Release says that core does not run a job.
type Release struct {
	Job JobKey
	// Handle is that of the Offer.
	Handle []byte
	// Duplicate: the job runs here already, perhaps under another attempt, and goes on; the offer was a second delivery.
	// Otherwise the job should be offered again, here or elsewhere.
	Duplicate bool
	// Message is for people; it holds no sensitive value.
	Message string
}

// Logs are consecutive lines of a job's log.
type Logs struct {
	Job JobKey
	// Handle is that of the Offer.
	Handle []byte
	// FirstLine is the number of the first line, from 1 in each job, with no gap from call to call. It is the same when
	// the lines come again.
	FirstLine uint64
	// SentAt is when core first sent these lines. The same on each retry.
	SentAt time.Time
	// Lines have no line ends and are not always UTF-8.
	Lines [][]byte
}

// RefusedLines are lines that a remote system does not take, and that are therefore missing there.
type RefusedLines struct {
	// FirstLine is the number of the first one, as in [Logs]; Count is how many there are, one after the other.
	FirstLine, Count uint64
	// Message says why, for people. It holds no sensitive value.
	Message string
}

// Report is what a job has come to.
type Report struct {
	Job JobKey
	// Handle is that of the Offer.
	Handle []byte
	// Outcome, Reason, Message, ExitCode and Variables are as in [End].
	Outcome, Reason, Message string
	ExitCode                 *int32
	Variables                []Variable
	// Infrastructure: something around the job is at fault and not the job itself. When StartedAt is zero it was not run
	// at all, and can be run again with no harm.
	Infrastructure bool
	// StartedAt is when the first step began, zero when none did; FinishedAt when the job was over.
	StartedAt, FinishedAt time.Time
}

// Refused makes of an error of [JobSource.Report] one that says that it would be the same every time, so that core does not
// try again.
func Refused(err error) error { return refused{err} }

// refused implements the interface by which a status is found in an error.
type refused struct{ error }

func (r refused) GRPCStatus() *status.Status { return status.New(codes.FailedPrecondition, r.Error()) }

func (r refused) Unwrap() error { return r.error }

// source implements Source.
type source[C any, S JobSource] struct {
	connectTo func(ctx context.Context, runner string, config C) (S, error)
}

func (source[C, S]) configType() reflect.Type { return reflect.TypeFor[C]() }

func (source[C, S]) traits() *pluginv1.SourceTraits {
	t := reflect.TypeFor[S]()
	return &pluginv1.SourceTraits{
		Scales:  t.Implements(reflect.TypeFor[Scaler]()),
		Resumes: t.Implements(reflect.TypeFor[Resumer]()),
		// Whatever the source is, this package unpacks for it.
		PackedLogs: true,
	}
}

func (s source[C, S]) connect(ctx context.Context, runner string, config reflect.Value) (JobSource, error) {
	return s.connectTo(ctx, runner, config.Interface().(C)) //nolint:forcetypeassert // the config is of configType
}
