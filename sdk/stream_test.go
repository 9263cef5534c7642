package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// summer puts the sum of the lengths of all lines so far before each line.
type summer struct {
	sum   int
	saved []byte
	fail  string
}

func (s *summer) Line(_ context.Context, l *sdk.Line) error {
	if len(l.Bytes()) > 0 {
		s.sum += len(l.Bytes())
		s.saved = fmt.Append(nil, s.sum)
	}
	l.Splice(0, 0, fmt.Appendf(nil, "%d ", s.sum))
	return nil
}

func (s *summer) Checkpoint() ([]byte, error) {
	if s.fail == "checkpoint" {
		return nil, errors.New("cannot save")
	}
	if s.fail == "large" {
		return make([]byte, 3<<20), nil
	}
	return s.saved, nil
}

func (s *summer) Restore(checkpoint []byte) error {
	if s.fail == "restore" {
		return errors.New("cannot load")
	}
	s.saved = bytes.Clone(checkpoint)
	_, err := fmt.Sscan(string(checkpoint), &s.sum)
	return err
}

func (s *summer) Finish(_ context.Context, end *sdk.End) error {
	if s.fail == "finish" {
		return errors.New("cannot end")
	}
	if s.fail == "outcome" {
		end.AppendLine(sdk.Outcome, nil)
	}
	if s.fail == "line end" {
		end.AppendLine(sdk.Stdout, []byte("a\nb"))
	}
	end.Message += fmt.Sprintf(" sum=%d \xff", s.sum)
	end.Variables = append(end.Variables, sdk.Variable{Key: "sum", Value: fmt.Append(nil, s.sum)})
	text := []byte("the sum")
	end.AppendLine(sdk.Stderr, text)
	copy(text, "xxx")
	return nil
}

func summerPlugin(fail string) sdk.Plugin {
	return sdk.Plugin{Name: "summer", Processor: sdk.Lines(func(context.Context, sdk.Job, none) (*summer, error) {
		return &summer{fail: fail}, nil
	})}
}

func TestCheckpointsAndFinish(t *testing.T) {
	code := int32(3)
	end := sdk.End{
		Outcome: "failed", Reason: "exit_code", Message: "it failed", ExitCode: &code,
		Variables: []sdk.Variable{{Key: "k", Value: []byte{0xff}}},
	}
	result := sdktest.Replay(t, summerPlugin(""), sdktest.Job{End: end}, sdktest.Lines("", "a", "bb", "", "ccc")...)
	sdktest.AssertLines(t, result, "0 ", "1 a", "3 bb", "3 ", "6 ccc", "the sum")
	if last := result.Lines[5]; last.Stream != sdk.Stderr {
		t.Errorf("the last line is on %v", last.Stream)
	}
	got := result.End
	if got.Outcome != "failed" || got.Reason != "exit_code" || got.Message != "it failed sum=6 \ufffd" || *got.ExitCode != 3 {
		t.Errorf("the result is %+v", got)
	}
	if len(got.Variables) != 2 || !bytes.Equal(got.Variables[0].Value, []byte{0xff}) || string(got.Variables[1].Value) != "6" {
		t.Errorf("the variables are %v", got.Variables)
	}
}

func TestStreamFailures(t *testing.T) {
	for name, want := range map[string]string{
		"checkpoint": "checkpoint after line 2: cannot save",
		"large":      "checkpoint after line 2: it is 3145728 bytes, more than 2097152",
		"finish":     "finish: cannot end",
		"outcome":    "finish: AppendLine: no line can be added to the outcome file",
		"line end":   "finish: AppendLine: the text holds a line end",
	} {
		t.Run(name, func(t *testing.T) {
			if got := failure(t, summerPlugin(name), sdktest.Job{}, sdktest.Lines("a", "b")...); !strings.Contains(got, want) {
				t.Errorf("got %q, want it to hold %q", got, want)
			}
		})
	}
}

func TestStartFailures(t *testing.T) {
	for name, c := range map[string]struct {
		start func() (sdk.LineProcessor, error)
		want  string
	}{
		"error":      {func() (sdk.LineProcessor, error) { return nil, errors.New("no") }, "open job 7: no"},
		"nothing":    {func() (sdk.LineProcessor, error) { return nil, nil }, "neither a value nor an error"},
		"nil inside": {func() (sdk.LineProcessor, error) { return (*summer)(nil), nil }, "neither a value nor an error"},
		"panic":      {func() (sdk.LineProcessor, error) { panic("start") }, "panic: start"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sdk.Plugin{Name: "test", Processor: sdk.Lines(func(context.Context, sdk.Job, none) (sdk.LineProcessor, error) {
				return c.start()
			})}
			if got := failure(t, p, sdktest.Job{Info: sdk.Job{ID: "7"}}); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to hold %q", got, c.want)
			}
		})
	}
}

func TestJob(t *testing.T) {
	info := sdk.Job{
		ID: "7", Attempt: 2, Pipeline: "p", Runner: "r", Worker: 3, Labels: map[string]string{"k": "v"},
		Secrets: []sdk.Secret{{Key: "TOKEN", Value: []byte("hunter2")}},
	}
	var got sdk.Job
	p := sdk.Plugin{Name: "test", NeedsSecrets: true, Processor: sdk.Lines(func(_ context.Context, job sdk.Job, _ none) (lineFunc, error) {
		got = job
		return func(context.Context, *sdk.Line) error { return nil }, nil
	})}
	sdktest.Run(t, p, sdktest.Job{Info: info})
	if !reflect.DeepEqual(got, info) {
		t.Errorf("got %v, want %v", got, info)
	}
	p.NeedsSecrets = false
	sdktest.Run(t, p, sdktest.Job{Info: info})
	if len(got.Secrets) > 0 {
		t.Error("secrets reached a plugin that did not ask for them")
	}
}

// closer is a configuration that opens something.
type closer struct {
	Name string `config:"name"`
	log  *[]string
}

var closerLog []string

func (c *closer) Validate(d *sdk.Diagnostics) {
	if c.Name == "bad" {
		d.Error(sdk.At("name"), "Bad name", "Take another.")
	}
	if c.Name == "odd" {
		d.Warn(sdk.At("rules").Index(1).Name("labels").Key("k"), "Odd name", "Take another.")
	}
}

func (c *closer) Configure(_ context.Context, d *sdk.Diagnostics) {
	closerLog = append(closerLog, "open "+c.Name)
	c.log = &closerLog
	if c.Name == "missing" {
		d.Error(sdk.Path{}, "No such file", "Make one.")
	}
}

func (c *closer) Close() error {
	*c.log = append(*c.log, "close "+c.Name)
	return nil
}

func closerPlugin() sdk.Plugin {
	return sdk.Plugin{Name: "closer", Processor: sdk.Lines(func(_ context.Context, job sdk.Job, c closer) (lineFunc, error) {
		*c.log = append(*c.log, "job "+job.ID)
		return func(context.Context, *sdk.Line) error { return nil }, nil
	})}
}

func TestConfigure(t *testing.T) {
	closerLog = nil
	t.Run("run", func(t *testing.T) {
		sdktest.Run(t, closerPlugin(), sdktest.Job{Config: map[string]any{"name": "n"}, Info: sdk.Job{ID: "1"}})
	})
	if want := []string{"open n", "job 1", "close n"}; !slices.Equal(closerLog, want) {
		t.Errorf("got %q, want %q", closerLog, want)
	}
	for name, want := range map[string]string{
		"bad":     `refuses its configuration: at "name": Bad name: Take another.`,
		"missing": `refuses its configuration: at "": No such file: Make one.`,
	} {
		if got := failure(t, closerPlugin(), sdktest.Job{Config: map[string]any{"name": name}}); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want it to hold %q", name, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]any
		want   string
	}{
		"good":    {map[string]any{"name": "n"}, "[]"},
		"bad":     {map[string]any{"name": "bad"}, "[{error name Bad name Take another.}]"},
		"odd":     {map[string]any{"name": "odd"}, `[{warning rules[1].labels["k"] Odd name Take another.}]`},
		"schema":  {nil, `[{error name Missing attribute "name" must be given.}]`},
		"unknown": {map[string]any{"name": "n", "nam": 1}, `[{error nam Unknown name There is no attribute and no block "nam" here.}]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(sdktest.Validate(t, closerPlugin(), c.config)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPluginMistakes(t *testing.T) {
	lines := sdk.Lines(func(context.Context, sdk.Job, none) (lineFunc, error) { return nil, nil })
	for name, c := range map[string]struct {
		plugin sdk.Plugin
		want   string
	}{
		"no name":      {sdk.Plugin{Processor: lines}, `the plugin's name "" is not made of`},
		"bad name":     {sdk.Plugin{Name: "Shout!", Processor: lines}, `the plugin's name "Shout!" is not made of`},
		"no processor": {sdk.Plugin{Name: "shout"}, "plugin shout: it has to have a Processor"},
		"bad config": {sdk.Plugin{Name: "shout", Processor: sdk.Lines(func(context.Context, sdk.Job, struct{ A string }) (lineFunc, error) {
			return nil, nil
		})}, "plugin shout: configuration: field A"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failure(t, c.plugin, sdktest.Job{}); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to hold %q", got, c.want)
			}
		})
	}
}
