package main

import (
	"fmt"
	"testing"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// TestAllocations guards the cost of a batch: that of its edits as a whole, and none of a line.
func TestAllocations(t *testing.T) {
	job := jobWith(secretValue, "x7", "first-line-1\nab12\ncd34\nlast-line-22")
	batch := func(line func(i int) string) []sdktest.Line {
		list := make([]sdktest.Line, 300)
		for i := range list {
			list[i] = sdktest.Line{Text: line(i), Stream: sdk.Stream(i % 2)}
		}
		return list
	}
	for _, c := range []struct {
		name string
		line func(i int) string
		most float64
	}{
		{"nothing to mask", func(i int) string { return fmt.Sprintf("+ echo line %d of the build ran in 0.%ds", i, i) }, 5},
		{"a value in each line", func(i int) string { return fmt.Sprint("login ", secretValue, " with x7 is ", i) }, 5},
		{"colours", func(i int) string { return fmt.Sprintf("\x1b[32mok\x1b[m hunter2\x1b[1m-Zq81 %d\x1b[K", i) }, 5},
		{"passwords of URLs", func(i int) string { return fmt.Sprintf("GET https://me:pass%d@example.com/", i) }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sdktest.Allocations(t, plugin, job, batch(c.line)...); got > c.most {
				t.Errorf("%v allocations a batch, more than %v", got, c.most)
			}
		})
	}
}
