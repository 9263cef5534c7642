package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/sdk"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// checks are the demands of the protocol, the simple ones first.
var checks = []check{
	{"describe", "a plugin says what it is", checkDescribe},
	{"order", "answers come in order, edits fit their records, each batch is acknowledged", checkOrder},
	{"empty log", "a job may end without a line", checkEmpty},
	{"batch borders", "where batches end and how many are under way changes nothing", checkBorders},
	{"prefix runs", "a core that does not take prefix_runs gets the same output without them", checkPrefixRuns},
	{"repeat", "the same records give the same output: nothing depends on the clock or on chance", checkRepeat},
	{"replay", "a new process that goes on from the last checkpoint gives the same output", checkReplay},
	{"cancel", "a job that core gives up leaves nothing behind", checkCancel},
	{"two jobs", "two jobs at once do not mix", checkTwoJobs},
	{"long line", "a line of 10 MiB in pieces is no matter", checkLongLine},
	{"any bytes", "a line holds any bytes but LF", checkAnyBytes},
	{"unknown fields", "fields of a later version of the protocol are ignored", checkUnknownFields},
	{"drain", "streams that are open go on after Drain; then comes Shutdown", checkDrain},
	{"lifeline", "the process ends when its standard input ends", checkLifeline},
}

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	configName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

func checkDescribe(ctx context.Context, s *subject) error {
	return s.describesItself(ctx, "processor", pluginv1.Processor_ServiceDesc.ServiceName, s.description.GetProcessor() != nil)
}

// describesItself checks what a plugin of any kind says of itself. traits tells whether it has stated those of its kind.
func (s *subject) describesItself(ctx context.Context, kind, service string, traits bool) error {
	d := s.description
	switch {
	case !pluginName.MatchString(d.GetName()):
		return fmt.Errorf("the name %q is not made of lower-case letters, digits and dashes", d.GetName())
	case !slices.Contains(d.GetServices(), service):
		return fmt.Errorf("services are %q; a %s names %s", d.GetServices(), kind, service)
	case !traits:
		return fmt.Errorf("%s is not set; a %[1]s states its traits", kind)
	}
	if err := checkSchema(d.GetConfig(), ""); err != nil {
		return err
	}
	client := pluginv1.NewPluginClient(s.conn)
	again, err := client.Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("the second Describe: %w", err)
	}
	if !proto.Equal(d, again) {
		return errors.New("the second Describe differs from the first")
	}
	if _, err := client.Validate(ctx, &pluginv1.ValidateRequest{ConfigJson: s.config}); err != nil {
		return fmt.Errorf("validate at any time: %w", err)
	}
	return nil
}

func checkSchema(s *pluginv1.Schema, at string) error {
	names := map[string]bool{}
	for _, a := range s.GetAttributes() {
		here := at + a.Name
		compound := a.Type.GetKind() == pluginv1.Kind_KIND_LIST || a.Type.GetKind() == pluginv1.Kind_KIND_MAP
		switch {
		case !configName.MatchString(a.Name):
			return fmt.Errorf("the attribute name %q cannot stand in runner.hcl", here)
		case names[a.Name]:
			return fmt.Errorf("the attribute %q is there twice", here)
		case a.Type.GetKind() == pluginv1.Kind_KIND_UNSPECIFIED:
			return fmt.Errorf("the attribute %q has no type", here)
		case compound == (a.Type.Element == pluginv1.Kind_KIND_UNSPECIFIED):
			return fmt.Errorf("the attribute %q: a list or a map has an element type, and nothing else does", here)
		case len(a.DefaultJson) > 0 && !json.Valid(a.DefaultJson):
			return fmt.Errorf("the attribute %q: the default is not JSON", here)
		case len(a.DefaultJson) > 0 && a.Required:
			return fmt.Errorf("the attribute %q is required and has a default", here)
		}
		names[a.Name] = true
	}
	for _, b := range s.GetBlocks() {
		here := at + b.Type
		switch {
		case !configName.MatchString(b.Type):
			return fmt.Errorf("the block name %q cannot stand in runner.hcl", here)
		case names[b.Type]:
			return fmt.Errorf("the block %q has the name of another block or attribute", here)
		case b.Nesting == pluginv1.Nesting_NESTING_UNSPECIFIED:
			return fmt.Errorf("the block %q has no nesting", here)
		}
		names[b.Type] = true
		if err := checkSchema(b.Body, here+"."); err != nil {
			return err
		}
	}
	return nil
}

func checkOrder(ctx context.Context, s *subject) error {
	_, err := s.run(ctx, s.ordinary("order"))
	return err
}

func checkEmpty(ctx context.Context, s *subject) error {
	for _, outcome := range outcomes {
		x := s.script("empty", nil, 1, protocol.WindowBatches)
		x.result.Outcome = outcome
		if outcome == "unstarted" {
			x.result.ExitCode = nil
		}
		if _, err := s.run(ctx, x); err != nil {
			return fmt.Errorf("outcome %s: %w", outcome, err)
		}
	}
	return nil
}

func checkBorders(ctx context.Context, s *subject) error {
	want, err := s.run(ctx, s.ordinary("borders"))
	if err != nil {
		return err
	}
	for _, c := range []struct {
		lines  int
		window uint32
	}{{1, protocol.WindowBatches}, {1, 1}, {7, 2}} {
		if err := s.sameRun(ctx, s.script("borders", s.lines(), c.lines, c.window), want); err != nil {
			return fmt.Errorf("batches of %d lines, %d under way: %w", c.lines, c.window, err)
		}
	}
	return nil
}

func checkPrefixRuns(ctx context.Context, s *subject) error {
	x := s.ordinary("prefixes")
	want, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	x.open.PrefixRuns = false
	return s.sameRun(ctx, x, want)
}

func checkRepeat(ctx context.Context, s *subject) error {
	x := s.ordinary("repeat")
	want, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	if err := s.sameRun(ctx, x, want); err != nil {
		return fmt.Errorf("the same job again, in the same process: %w", err)
	}
	s.stop()
	if err := s.renew(ctx); err != nil {
		return err
	}
	if err := s.sameRun(ctx, x, want); err != nil {
		return fmt.Errorf("the same job again, in another process: %w", err)
	}
	return nil
}

func checkReplay(ctx context.Context, s *subject) error {
	const (
		rounds = 4
		kills  = 3
	)
	x := s.script("replay", s.lines(), 5, protocol.WindowBatches)
	want, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	for round := range rounds {
		// The same places each time: a failure is there again in the next run.
		random := rand.New(rand.NewPCG(1, uint64(round)))
		stops := make([]int, kills)
		for i := range stops {
			stops[i] = random.IntN(len(x.batches) + 1)
		}
		slices.Sort(stops)
		got, err := s.interrupted(ctx, x, stops)
		if err == nil {
			err = same(got, want)
		}
		if err != nil {
			var at []uint64
			for _, stop := range stops {
				at = append(at, lastSeq(x.batches[:stop]))
			}
			return fmt.Errorf("killed after records %v: %w", at, err)
		}
	}
	return nil
}

func checkCancel(ctx context.Context, s *subject) error {
	x := s.script("cancel", s.lines(), 5, protocol.WindowBatches)
	want, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	for _, stop := range []int{0, 1, len(x.batches) / 2} {
		if err := play(ctx, s.conn, x, &progress{}, stop); !errors.Is(err, errStopped) {
			return err
		}
	}
	if err := s.sameRun(ctx, x, want); err != nil {
		return fmt.Errorf("the same job after it was given up: %w", err)
	}
	return nil
}

func checkTwoJobs(ctx context.Context, s *subject) error {
	var scripts [4]*script
	var want [len(scripts)]*Result
	var err error
	for i := range scripts {
		lines := append(Lines(fmt.Sprintf("this is job %d", i)), s.lines()[i*11:]...)
		scripts[i] = s.script(fmt.Sprintf("job-%d", i), lines, 3, 2)
		if want[i], err = s.run(ctx, scripts[i]); err != nil {
			return err
		}
	}
	errs := make(chan error, len(scripts))
	for i, x := range scripts {
		go func() {
			err := s.sameRun(ctx, x, want[i])
			if err != nil {
				err = fmt.Errorf("%s, beside others: %w", x.open.JobId, err)
			}
			errs <- err
		}()
	}
	for range scripts {
		err = errors.Join(err, <-errs)
	}
	return err
}

func checkLongLine(ctx context.Context, s *subject) error {
	long := strings.Repeat("0123456789abcdef", 10<<20/16)
	lines := append(Lines("before", long, "after"), Line{Text: long[:100<<10], Stream: sdk.Stderr})
	_, err := s.run(ctx, s.script("long", lines, protocol.MaxBatchLines, protocol.WindowBatches))
	return err
}

func checkAnyBytes(ctx context.Context, s *subject) error {
	var all bytes.Buffer
	for i := range 256 {
		if i != '\n' {
			_ = all.WriteByte(byte(i))
		}
	}
	lines := Lines(
		all.String(), "\x00", "\x00\x00after", "\xff\xfe", "cut \xe2\x82", "\xed\xa0\x80", "carriage\r", "\r", "\x1b[31mred\x1b[0m",
		strings.Repeat("\x00", protocol.MaxRecordBytes), strings.Repeat("\xf0\x9f\x98\x80", 10_000),
	)
	_, err := s.run(ctx, s.script("bytes", append(lines, s.binary.Lines...), protocol.MaxBatchLines, protocol.WindowBatches))
	return err
}

func checkUnknownFields(ctx context.Context, s *subject) error {
	x := s.ordinary("unknown")
	want, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	withUnknown(x.open)
	withUnknown(x.result)
	for _, b := range x.batches {
		withUnknown(b)
	}
	got, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	return same(got, want)
}

func checkDrain(ctx context.Context, s *subject) error {
	client := pluginv1.NewPluginClient(s.conn)
	x := s.script("drain", s.lines(), 5, 1)
	want, err := s.run(ctx, x)
	if err != nil {
		return err
	}
	half := len(x.batches) / 2
	drained := make(chan error, 1)
	x.acknowledged = func(acked int) {
		if acked == half {
			_, err := client.Drain(ctx, &pluginv1.DrainRequest{})
			drained <- err
		}
	}
	if err := s.sameRun(ctx, x, want); err != nil {
		return fmt.Errorf("a job that was open at Drain: %w", err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if _, err := client.Shutdown(ctx, &pluginv1.ShutdownRequest{}); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

func checkLifeline(_ context.Context, s *subject) error {
	if err := s.runner.lifeline.Close(); err != nil {
		return err
	}
	timer := time.NewTimer(exitTimeout)
	defer timer.Stop()
	select {
	case <-s.runner.exited:
		return nil
	case <-timer.C:
		return fmt.Errorf("it still runs after %v; when %s is \"stdin\", the end of standard input says that core is gone",
			exitTimeout, protocol.EnvLifeline)
	}
}
