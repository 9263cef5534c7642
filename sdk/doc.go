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
//		line.Replace(append(bytes.ToUpper(line.Bytes()), s.suffix...))
//		return nil
//	}
//
//	func main() {
//		sdk.Serve(sdk.Plugin{
//			Name:        "shout",
//			Description: "Writes every line in capitals.",
//			Processor: sdk.Lines(func(_ context.Context, _ sdk.Job, c config) (sdk.LineProcessor, error) {
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
// A plugin writes to its log with [Logger]. Standard output belongs to the protocol; what a plugin prints there or on
// standard error reaches the runner's log as plain text.
//
// Package sdktest runs a processor in a test, and puts any processor binary through a conformance suite.
package sdk
