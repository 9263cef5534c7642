package e2e

import (
	"strings"
	"testing"
)

// maskJob has a value of its own masked as docs/processors.md tells, and uses it at once while its commands are traced.
const maskJob = `
image: alpine
commands:
  - |
    { set +x; } 2>/dev/null
    token=$(printf swordfish | tr a-z n-za-m)
    echo "::add-mask::$token" >&2
    set -x
    echo "with $token"
`

// TestMaskOfAJobsOwn: the trace of the commands behind ::add-mask:: is on standard error, which comes before standard output of
// the same moment; so the line is looked for there, too.
func TestMaskOfAJobsOwn(t *testing.T) {
	const value = "fjbeqsvfu" // swordfish, as tr makes it
	stdout, stderr, code := run(t, strings.NewReader(maskJob), "test", "-f", "-", "--executor", "local", "-c", configOf(t, "outcome", "sanitize"))
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	if strings.Contains(stdout+stderr, value) {
		t.Errorf("the value was printed:\n%s", stdout)
	}
	contains(t, "the log", stdout, "with **********\n", "+ echo with **********\n")
}
