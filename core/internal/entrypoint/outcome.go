package entrypoint

import (
	"slices"
	"strings"
)

// OutcomeVariable is the variable that tells a step's commands where their outcome file is.
const OutcomeVariable = "OUTCOME_FILE"

// MaxOutcomeBytes bounds the outcome file: all variables that a job can have, and as much again for names, marks and
// values that others take the place of.
const MaxOutcomeBytes = 2 << 20

// has reports whether there is a variable of a name.
func has(env []string, name string) bool {
	return slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
}
