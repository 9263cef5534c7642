package main

import (
	"fmt"
	"testing"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// TestAllocations guards the cost of a batch in which there is nothing to capture: none of a line.
func TestAllocations(t *testing.T) {
	lines := make([]sdktest.Line, 300)
	for i := range lines {
		lines[i] = sdktest.Line{Text: fmt.Sprintf("line %d of the build", i), Stream: sdk.Stream(i % 2)}
		if i%10 == 0 {
			lines[i].Text = "::debug::like a directive"
		}
	}
	const most = 5
	if got := sdktest.Allocations(t, plugin, sdktest.Job{}, lines...); got > most {
		t.Errorf("%v allocations a batch, more than %d", got, most)
	}
}
