// Package sdktest tests plugins that are written with package sdk, or without it.
//
// [Run] runs a processor in the test's own process, over real gRPC, and returns what becomes of the lines of a job:
//
//	result := sdktest.Run(t, plugin, sdktest.Job{Config: map[string]any{"suffix": "?"}}, sdktest.Lines("hello")...)
//	sdktest.AssertLines(t, result, "HELLO?")
//
// [Replay] does what core does after a crash, at every place where it can happen, and fails the test when the output
// is not the same. [Allocations] tells what a batch costs. [Validate] shows what a plugin finds wrong with a configuration.
//
// [Source] runs a job source, with the test in core's place: it grants credit, takes offers, and hands back logs and results.
//
// [Start] and [SourceProcess] do the same with a program as it is built, in whatever language it is written, which can
// then be killed. [Conformance] puts a processor's program through everything that the protocol asks of it;
// [SourceConformance] does so with the program of a job source.
package sdktest
