package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outcomeJob writes to its outcome file in both steps, and fails in the end.
const outcomeJob = `
image: alpine
initCommands:
  - set +xv
  - echo "init=1" >>"$OUTCOME_FILE"
commands:
  - set +xv
  - echo "from init $(cat "$OUTCOME_FILE")."
  - echo "::set-outcome-var printed=yes"
  - echo "both=written" >>"$OUTCOME_FILE"
  - echo "::set-outcome-var both=printed"
  - printf 'report<<END\n  first %s\n\n::set-outcome-var not=one\nEND\n' "$TOKEN" >>"$OUTCOME_FILE"
  - echo "not a variable" >>"$OUTCOME_FILE"
  - echo the end
  - exit 3
variables:
  - key: TOKEN
    value: swordfish
    sensitive: true
`

// printed returns the job's lines of log events, and those about its outcome file, as "stream line". It fails the test when one
// is of the file.
func printed(t *testing.T, log []map[string]any) (lines []string) {
	t.Helper()
	for _, event := range log {
		stream, _ := event["stream"].(string)
		line, _ := event["line"].(string)
		if stream != "stdout" && stream != "stderr" {
			t.Errorf("an event of stream %q: %v", stream, event)
		}
		if !strings.HasPrefix(line, "+ set +xv") && line != "set +xv" && !strings.HasPrefix(line, "[runner] sanitize: ") {
			lines = append(lines, stream+" "+line)
		}
	}
	return lines
}

// outcomes returns the variables of a result, in order.
func outcomes(result map[string]any) (vars []string) {
	list, _ := result["variables"].([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		key, _ := m["key"].(string)
		value, _ := m["value"].(string)
		vars = append(vars, key+"="+value)
	}
	return vars
}

// TestOutcomeFile: whatever the order of the processors, the variables are the same and masked, and the log has no line of
// the file.
func TestOutcomeFile(t *testing.T) {
	job := write(t, "job.yaml", outcomeJob)
	const leftOut = `stdout [runner] outcome: line 7 of the outcome file of step "job" is left out: it is neither KEY=VALUE nor KEY<<DELIMITER`
	for _, order := range []string{"outcome sanitize", "sanitize outcome", "outcome sanitize plain", "plain sanitize outcome"} {
		t.Run(order, func(t *testing.T) {
			processors := strings.Fields(order)
			for i, p := range processors {
				if p == "plain" { // it knows nothing of outcome files
					processors[i] = "\"prefix\" {\n config {\n format = \"\"\n }\n }"
				}
			}
			stdout, stderr, code := run(t, nil, "test", "-c", configOf(t, processors...), "--output", "json", "-f", job)
			if code != 1 {
				t.Fatalf("exit code %d:\n%s", code, stderr)
			}
			log, _, result := events(t, stdout)
			want := []string{"stdout from init .", "stdout the end", leftOut}
			if diff := cmp.Diff(want, printed(t, log)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			wantVars := []string{"init=1", "printed=yes", "both=written", "report=  first **********\n\n::set-outcome-var not=one"}
			if diff := cmp.Diff(wantVars, outcomes(result)); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			if strings.Contains(stdout+stderr, "swordfish") {
				t.Error("the secret was printed")
			}
		})
	}
}

// TestOutcomeFileThatNobodyReads: the log says so, once for each step.
func TestOutcomeFileThatNobodyReads(t *testing.T) {
	job := write(t, "job.yaml", outcomeJob)
	stdout, stderr, code := run(t, nil, "test", "-c", configOf(t, "sanitize"), "--output", "json", "-f", job)
	if code != 1 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	log, _, result := events(t, stdout)
	text := strings.Join(printed(t, log), "\n")
	contains(t, "the log", text,
		`stderr [runner] the outcome file of step "init" is left out: no processor of the pipeline reads it; add processor "outcome" {}`,
		`stderr [runner] the outcome file of step "job" is left out: no processor of the pipeline reads it; add processor "outcome" {}`)
	if n := strings.Count(text, "is left out"); n != 2 {
		t.Errorf("it is told %d times", n)
	}
	if vars := outcomes(result); len(vars) > 0 || strings.Contains(stdout, "not a variable") {
		t.Errorf("variables %q, log:\n%s", vars, text)
	}
}

// TestReplayOfAnOutcomeFile: a recorded file goes through the processors as that of a job does.
func TestReplayOfAnOutcomeFile(t *testing.T) {
	log, file := write(t, "log", "a line\n::set-outcome-var a=printed\n"), write(t, "outcome", "a=written\nb<<E\n1\n2\nE\n")
	stdout, stderr, code := run(t, nil, "replay", "-c", configOf(t, "outcome", "sanitize"), "--output", "json", "--outcome-file", file, log)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	events, _, result := events(t, stdout)
	if diff := cmp.Diff([]string{"stdout a line"}, printed(t, events)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a=written", "b=1\n2"}, outcomes(result)); diff != "" {
		t.Error(diff)
	}
}
