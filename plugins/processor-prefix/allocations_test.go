package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// TestAllocations guards the cost of a batch: that of its edits as a whole, and none of a line, whether the time of each is
// that of the one before or not.
func TestAllocations(t *testing.T) {
	const most = 5
	for _, step := range []time.Duration{0, time.Second} {
		lines := make([]sdktest.Line, 300)
		for i := range lines {
			lines[i] = line(time.Duration(i)*step, sdk.Stream(i%2), fmt.Sprintf("line %d of the build", i), false)
		}
		if got := sdktest.Allocations(t, plugin, sdktest.Job{Info: sdk.Job{Worker: 3}}, lines...); got > most {
			t.Errorf("with %v between lines: %v allocations a batch, more than %d", step, got, most)
		}
	}
}
