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

// unclosedLine tells of a block that was not closed. Its lines follow.
func unclosedLine(key string) []byte {
	return fmt.Appendf(nil, notice+"the block of variable %q has no end; the variable is set all the same, and the lines were:", key)
}
