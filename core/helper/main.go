// Command runner-helper is the small program beside a job's commands, in its pod or on this machine. Its only means are the
// files that it is given. It opens no network connection. In a pod, and only there, its agent accepts one, from whoever has the
// job's own key.
package main

import (
	"fmt"
	"io"
	"os"
)

// version is set by the linker.
var version = "dev"

const usage = `runner-helper runs the steps of a runner's jobs. It is started by the runner; there is no need to start it by hand.

Usage:
  runner-helper entrypoint FLAGS   run one step and keep its output in a spool
  runner-helper agent FLAGS        serve the output of a pod's steps
  runner-helper install PATH       copy this program to where the steps find it
  runner-helper version            print the version
  runner-helper help               print this text

"runner-helper entrypoint -h" lists the flags, and so does "runner-helper agent -h".
`

// codeUsage is the exit code for a command line that is not understood.
const codeUsage = 2

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return codeUsage
	}
	switch args[0] {
	case "entrypoint":
		return runEntrypoint(args[1:], stdout, stderr)
	case "agent":
		return runAgent(args[1:], stdout, stderr)
	case "install":
		return runInstall(args[1:], stderr)
	case "probe":
		return runProbe(args[1:], stderr)
	case "version", "--version":
		_, _ = fmt.Fprintln(stdout, "runner-helper", version)
		return 0
	case "help", "-h", "--help":
		_, _ = io.WriteString(stdout, usage)
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "runner-helper: unknown command %q\n\n%s", args[0], usage)
	return codeUsage
}
