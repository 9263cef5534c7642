package entrypoint

import (
	"slices"
	"testing"
)

func TestEnvironment(t *testing.T) {
	base := []string{"PATH=/bin", "A=1", "A=2", "B="}
	more := []string{"A=3", "C=x=y", "PATH=/usr/bin", "C=z", "EMPTY"}
	want := []string{"PATH=/usr/bin", "A=3", "B=", "C=z", "EMPTY"}
	if got := environment(base, more); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := environment(base, nil); !slices.Equal(got, []string{"PATH=/bin", "A=2", "B="}) {
		t.Errorf("got %q", got)
	}
}

func TestInputLine(t *testing.T) {
	for want, in := range map[string]Input{
		`{"commands":["a\nb"],"env":["K=\u003cV"]}` + "\n": {Commands: []string{"a\nb"}, Env: []string{"K=<V"}},
		`{"skip":"why"}` + "\n":                            {Skip: "why"},
	} {
		if got, err := in.Line(); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}
