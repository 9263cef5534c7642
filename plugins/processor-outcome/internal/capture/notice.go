package capture

import (
	"fmt"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/directive"
)

// notice is how a line begins that the runner, and not the job, has put into the log.
const notice = "[runner] outcome: "

// droppedLine tells of a variable that is dropped. A key that is too long is not shown: cut, it might be a part of a
// secret that nothing masks any more.
func droppedLine(key, reason string) []byte {
	if len(key) > directive.MaxKeyBytes {
		return fmt.Appendf(nil, notice+"a variable is dropped: %s", reason)
	}
	return fmt.Appendf(nil, notice+"variable %q is dropped: %s", key, reason)
}

// stopLine tells of directives that stay on.
func stopLine(reason string) []byte {
	return fmt.Appendf(nil, notice+"directives are not stopped: %s; what follows is searched for them as before", reason)
}

// fileLine tells of a line of an outcome file. It shows nothing of the line: that may be a part of a secret.
func fileLine(step string, line int, reason string) []byte {
	return fmt.Appendf(nil, notice+"line %d of the outcome file of step %q is left out: %s", line, step, reason)
}

// untoldLine tells how many lines like the last ones there were.
func untoldLine(n int) []byte {
	return fmt.Appendf(nil, notice+"%d more mistakes in outcome files are not shown", n)
}

// unendedLine tells of a block of an outcome file that was not closed.
func unendedLine(key string) []byte {
	return droppedLine(key, "its block in the outcome file has no line that is equal to its delimiter")
}

// unclosedLine tells of a block that was not closed. Its lines follow.
func unclosedLine(b block) []byte {
	key := b.key
	if b.delimited {
		return droppedLine(key, "its block has no line that is equal to its delimiter; the lines were:")
	}
	return fmt.Appendf(nil, notice+"the block of variable %q has no end; the variable is set all the same, and the lines were:", key)
}
