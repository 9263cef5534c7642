// Package sdk is what a plugin is written with.
//
// A plugin is a program whose main function is one call of [Serve]. A log processor implements [LineProcessor], one
// method, and core gives it every line of a job's log, in order:
//
//	type config struct {
//		Suffix string `config:"suffix" default:"!" desc:"Put after each line."`
//	}
//
//	type shout struct{ suffix []byte }
//
//	func (s *shout) Line(_ context.Context, line *sdk.Line) error {
//		if !line.Partial() {
//			line.Splice(len(line.Bytes()), 0, s.suffix)
//		}
//		return nil
//	}
//
//	func main() {
//		sdk.Serve(sdk.Plugin{
//			Name:        "shout",
//			Description: "Ends every line with an exclamation mark.",
//			Processor: sdk.Lines(func(_ context.Context, _ sdk.Job, c config) (*shout, error) {
//				return &shout{suffix: []byte(c.Suffix)}, nil
//			}),
//		})
//	}
//
// There is one value for each job, used by one goroutine at a time, so state is a struct field: no locks, no maps keyed
// by job. State must be a function of the lines seen, never of the clock or of chance ([Line.Time] is the time at which
// the job wrote the line), for after a crash core feeds the same lines again. A processor whose lines depend on earlier
// ones implements [Checkpointer], too; one that has something to say at the end implements [Finisher]; one that looks
// at many lines at once implements [BatchProcessor] in place of LineProcessor.
//
// A job source implements [JobSource] and is made by [Jobs]: it claims a slot of core's, takes a job from its remote
// system and offers it, and takes back the job's log and its result. examples/plugins/batch is a whole one.
//
// The configuration, `config {}` in runner.hcl, is a struct whose fields have tags:
//
//	config:"name"       name in runner.hcl; required, unless ",optional" follows or there is a default; "-": not part of it
//	desc:"…"            what it is, for people
//	default:"5s"        used when it is absent; elements of a list stand with commas between them
//	one_of:"a,b"        closed set, for strings and for lists and maps of strings
//	sensitive:"true"    never shown; a field of type [Sensitive] is that by itself
//	deprecated:"…"      still taken, with a warning that says this
//
// A field is a string, bool, integer, float, time.Duration, [Bytes], *regexp.Regexp or [Sensitive], a pointer to one of
// these (nil when absent), or a slice or map of them. A struct, or a pointer to one, is a block; a slice of structs is any
// number of blocks; a map of structs is blocks with a label. Mistakes in tags are reported when the plugin starts. See
// [Validator] and [Configurer] for what tags cannot say.
//
// A plugin writes to its log with [Logger]. Standard output belongs to the protocol; what a plugin prints there or on
// standard error reaches the runner's log as plain text.
//
// Package sdktest runs a processor or a source in a test, and puts the program of either through a conformance suite.
package sdk
