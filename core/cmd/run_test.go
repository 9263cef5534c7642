package cmd

import (
	"net"
	"strings"
	"testing"
)

// TestRunRefuses: what can't be run is said before any job is taken.
func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nobody asks
	const (
		source = "  source \"lost\" {}\n"
		one    = "pipeline \"one\" {\n" + source + "}\n"
		quiet  = "telemetry {\n  address = \"\"\n}\n"
	)
	for name, test := range map[string]struct {
		config string
		args   []string
		code   int
		want   string
	}{
		"no configuration":   {"", nil, exitUsage, "no pipeline has a source"},
		"no source":          {goodConfig, nil, exitUsage, `no pipeline has a source, so there are no jobs to run: add a block source "name" { … } to one of ["default"]`},
		"no such pipeline":   {one, []string{"--pipeline", "on"}, exitUsage, `Did you mean "one"?`},
		"pipeline of no use": {goodConfig, []string{"--pipeline", "default"}, exitUsage, `the pipeline "default" has no source`},
		"too few slots": {
			"runner {\n  concurrency = 1\n}\n" + one + strings.ReplaceAll(one, "one", "two"), nil, exitUsage,
			"2 pipelines have a source, and only 1 jobs may run at once: raise concurrency",
		},
		"chosen, so there are enough": {
			quiet + "runner {\n  concurrency = 1\n}\n" + one + strings.ReplaceAll(one, "one", "two"), []string{"--pipeline", "two"}, exitUsage, `No source "lost"`,
		},
		"no plugin":      {quiet + one, nil, exitUsage, `No source "lost"`},
		"address in use": {"telemetry {\n  address = \"" + taken.Addr().String() + "\"\n}\n" + one, nil, exitInfrastructure, "is in use by another process"},
		"broken configuration": {
			"pipeline \"one\" {\n  concurrency = 0\n}\n", nil, exitUsage, "runner.hcl:2:17",
		},
		"argument": {one, []string{"x"}, exitUsage, "run takes no arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, test.config, "outcome", "sanitize")
			r := core(t, "", append([]string{"run"}, test.args...)...)
			if r.code != test.code || !strings.Contains(r.err, test.want) {
				t.Errorf("got %d, want %d and %q in\n%s", r.code, test.code, test.want, r.err)
			}
		})
	}
}
