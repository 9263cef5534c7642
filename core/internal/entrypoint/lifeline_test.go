package entrypoint

import (
	"strings"
	"testing"
)

func TestParseCancel(t *testing.T) {
	for line, want := range map[string]bool{
		"cancel 1s": true, "cancel 0s": true, "cancel 250ms": true,
		"cancel": false, "cancel ": false, "cancel -1s": false, "cancel soon": false, "": false, "stop 1s": false,
	} {
		if _, ok := parseCancel(line); ok != want {
			t.Errorf("%q: %v", line, ok)
		}
	}
	if d, ok := parseCancel(strings.TrimSuffix(CancelLine(1500*1e6), "\n")); !ok || d != 1500*1e6 {
		t.Errorf("CancelLine comes back as %v, %v", d, ok)
	}
}
