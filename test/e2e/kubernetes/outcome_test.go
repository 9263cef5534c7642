package kubernetes

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOutcomeFile: the steps of a pod have an outcome file, whoever they run as and whatever they may write to.
func TestOutcomeFile(t *testing.T) {
	t.Parallel()
	commands := []string{
		"set +x", `echo "init wrote $(cat "$OUTCOME_FILE")."`, `printf 'report<<END\n first %s\n\nEND\n' "$TOKEN" >>"$OUTCOME_FILE"`,
		"echo the end", "exit 3",
	}
	more := []string{
		"initCommands:\n  - set +x\n  - echo init=1 >>\"$OUTCOME_FILE\"", "variables: [{key: TOKEN, value: swordfish, sensitive: true}]",
	}
	for _, c := range []struct {
		name, settings string
		labels         map[string]string
	}{
		{"as the image says", "", nil},
		{"restricted", `pod_security = "restricted"`, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}},
		{"a user and a root that can't be written", `security_context = { runAsUser = 1000, runAsGroup = 1000 }
    pod_overlay = "{spec: {containers: [{name: init, securityContext: {readOnlyRootFilesystem: true}}, {name: job, securityContext: {readOnlyRootFilesystem: true}}]}}"`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, c.labels)
			r := s.run(job(commands, more...), c.settings)
			r.want("failed", "exit")
			if diff := cmp.Diff([]string{"init wrote .", "the end"}, withoutNotices(r.lines())); diff != "" {
				t.Error(diff)
			}
			var variables []string
			for _, v := range r.Variables {
				variables = append(variables, v.Key+"="+v.Value)
			}
			if diff := cmp.Diff([]string{"init=1", "report= first **********\n"}, variables); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// withoutNotices leaves out what sanitize says of variables.
func withoutNotices(lines []string) (out []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, "[runner] sanitize: ") {
			out = append(out, l)
		}
	}
	return out
}
