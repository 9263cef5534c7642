package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/plugins/processor-sanitize/internal/sequence"
	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/redact"
	"github.com/podrunner/runner/sdk/sdktest"
)

const secretValue = "hunter2-Zq81"

// jobWith is a job with sensitive variables K0, K1 and so on.
func jobWith(values ...string) sdktest.Job {
	var job sdktest.Job
	for i, v := range values {
		job.Info.Secrets = append(job.Info.Secrets, sdk.Secret{Key: fmt.Sprint("K", i), Value: []byte(v)})
	}
	return job
}

// piece is a record that goes on in the next one of its step and stream.
func piece(step string, stream sdk.Stream, text string) sdktest.Line {
	return sdktest.Line{Step: step, Stream: stream, Text: text, Partial: true}
}

func last(step string, stream sdk.Stream, text string) sdktest.Line {
	return sdktest.Line{Step: step, Stream: stream, Text: text}
}

func TestLinesOfTwoStreamsAndStepsDoNotMix(t *testing.T) {
	result := sdktest.Replay(t, plugin, jobWith(secretValue),
		piece("init", sdk.Stdout, "a hunt"),
		piece("init", sdk.Stderr, "b hunter2"),
		last("init", sdk.Stdout, "er2-Zq81 c"),
		piece("init", sdk.Stderr, "-Zq"),
		last("init", sdk.Stderr, ""),
		piece("job", sdk.Stdout, "x hunter2-"),
		last("job", sdk.Stderr, "Zq81 whole "+secretValue),
		piece("job", sdk.Stdout, ""),
		last("job", sdk.Stdout, "Zq81"),
	)
	sdktest.AssertLines(t, result,
		"a ********** c", "b hunter2-Zq", "Zq81 whole **********", "x **********")
}

func TestLongLine(t *testing.T) {
	// Pieces are 30 KiB: the secret lies over the border of the first two, and at the end of the last one.
	long := strings.Repeat("x", 30<<10-5)
	result := sdktest.Replay(t, plugin, jobWith(secretValue), sdktest.Lines(long+secretValue+long+secretValue)...)
	sdktest.AssertLines(t, result, long+redact.Mask+long+redact.Mask)
}

func TestSecretLongerThanAPiece(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 64<<10)
	for i := range value {
		value[i] = 'a' + byte(r.IntN(26))
	}
	almost := string(value[:len(value)-1])
	result := sdktest.Run(t, plugin, jobWith(string(value)),
		sdktest.Lines("<"+string(value)+">", "<"+almost+">", almost)...)
	sdktest.AssertLines(t, result, "<"+redact.Mask+">", "<"+almost+">", almost)
}

func TestOneReturnAtTheEndGoes(t *testing.T) {
	result := sdktest.Replay(t, plugin, sdktest.Job{}, append(sdktest.Lines("a\r", "b\r\r", "\r", "c\rd"),
		piece("job", sdk.Stdout, "e\r"), last("job", sdk.Stdout, ""),
		piece("job", sdk.Stdout, "f\r"), last("job", sdk.Stdout, "g"))...)
	sdktest.AssertLines(t, result, "a", "b\r", "", "c\rd", "e", "f\rg")
}

func TestShortSecretAtAPieceBorder(t *testing.T) {
	result := sdktest.Replay(t, plugin, jobWith("x7"),
		piece("job", sdk.Stdout, "code 0"), last("job", sdk.Stdout, "x7"),
		piece("job", sdk.Stdout, "code "), last("job", sdk.Stdout, "x7"),
		piece("job", sdk.Stdout, "code x7"), last("job", sdk.Stdout, "f"),
		piece("job", sdk.Stdout, "code x"), last("job", sdk.Stdout, "7."))
	sdktest.AssertLines(t, result, "code 0x7", "code **********", "code x7f", "code **********.")
}

func TestResultIsMasked(t *testing.T) {
	pem := "-----BEGIN KEY-----\nabcdefghijkl\nx=\n-----END KEY-----\n"
	job := jobWith(secretValue, pem)
	code := int32(1)
	job.End = sdk.End{
		Outcome: "failed", Reason: "exit", ExitCode: &code, Message: "login " + secretValue + "\nfailed",
		Variables: []sdk.Variable{
			{Key: "plain", Value: []byte("no secret\xff\r\n")},
			{Key: "token", Value: []byte("<" + secretValue + ">")},
			{Key: "key", Value: []byte("the key:\n" + pem + "and one line: abcdefghijkl")},
		},
	}
	result := sdktest.Replay(t, plugin, job, sdktest.Lines("a line")...)
	sdktest.AssertLines(t, result, "a line",
		`[runner] sanitize: outcome variable "token" holds a sensitive value, which is masked`,
		`[runner] sanitize: outcome variable "key" holds a sensitive value, which is masked`)
	want := []sdk.Variable{
		{Key: "plain", Value: []byte("no secret\xff\r\n")},
		{Key: "token", Value: []byte("<**********>")},
		{Key: "key", Value: []byte("the key:\n**********\nand one line: **********")},
	}
	if d := cmp.Diff(want, result.End.Variables); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
	if got := result.End.Message; got != "login **********\nfailed" {
		t.Errorf("message %q", got)
	}
	if e := result.End; e.Outcome != "failed" || e.Reason != "exit" || *e.ExitCode != 1 {
		t.Errorf("the rest of the result is %+v", e)
	}
}

// TestShortLinesInTheResult: what is masked in the log only as a row is so in a text of several lines, too, however that is
// indented and wherever its lines end.
func TestShortLinesInTheResult(t *testing.T) {
	job := jobWith("ab12\ncd34\nef56")
	job.End = sdk.End{
		Outcome: "failed", Message: "values:\r\n  ab12\r\n  cd34\r\nnot ef56",
		Variables: []sdk.Variable{{Key: "some", Value: []byte("ab12\nx\n\tcd34\n\tef56")}, {Key: "none", Value: []byte("ab12\nef56\ncd34")}},
	}
	result := sdktest.Run(t, plugin, job)
	if want := "values:\r\n  **********\r\n  **********\r\nnot ef56"; result.End.Message != want {
		t.Errorf("message %q, want %q", result.End.Message, want)
	}
	for i, want := range []string{"ab12\nx\n\t**********\n\t**********", "ab12\nef56\ncd34"} {
		if got := string(result.End.Variables[i].Value); got != want {
			t.Errorf("variable %q, want %q", got, want)
		}
	}
}

func TestLineThatNamesAVariableIsMaskedItself(t *testing.T) {
	job := jobWith("pass-word_1")
	job.End = sdk.End{Outcome: "success", Variables: []sdk.Variable{{Key: "pass-word_1", Value: []byte("pass-word_1")}}}
	result := sdktest.Run(t, plugin, job)
	sdktest.AssertLines(t, result,
		`[runner] sanitize: outcome variable "**********" holds a sensitive value, which is masked`)
}

func TestMinLength(t *testing.T) {
	job := jobWith("abcd", "l")
	lines := sdktest.Lines("Hello abcde, abcd l")
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, lines...), "Hello **********e, ********** **********")
	job.Config = map[string]any{"min_length": 1}
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, lines...), "He**********o **********e, ********** **********")
	job.Config = map[string]any{"min_length": 8}
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, lines...), "Hello abcde, ********** **********")
	for _, n := range []int{0, 9, -1} {
		got := sdktest.Validate(t, plugin, map[string]any{"min_length": n})
		if len(got) != 1 || got[0].Path != "min_length" || got[0].Severity != "error" {
			t.Errorf("min_length %d: %+v", n, got)
		}
	}
}

func TestAJobThatCannotBeMaskedIsRefused(t *testing.T) {
	secrets := []sdk.Secret{{Key: "HUGE", Value: bytes.Repeat([]byte("s3cr3t"), 20_000)}}
	_, err := start(t.Context(), sdk.Job{Secrets: secrets}, config{MinLength: 4})
	if err == nil || !strings.Contains(err.Error(), "HUGE") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}

func TestConformance(t *testing.T) {
	sdktest.Conformance(t, sdktest.Binary{
		Path:    build(t),
		Secrets: []sdk.Secret{{Key: "TOKEN", Value: []byte(secretValue)}, {Key: "PIN", Value: []byte("12")}},
		Lines: []sdktest.Line{
			{Text: "login " + secretValue},
			{Text: "pin 12\r"},
			{Text: strings.Repeat(secretValue+"x", 5000)},
			piece("job", sdk.Stdout, "hunter"), last("job", sdk.Stdout, "2-Zq81"),
		},
	})
}

func TestConfigurationIsChecked(t *testing.T) {
	for _, c := range []struct {
		name, path string
		config     map[string]any
	}{
		{"a pattern that is none", "patterns[1]", map[string]any{"patterns": []string{"a", "("}}},
		{"a pattern that matches nothing", "patterns[0]", map[string]any{"patterns": []string{"a*"}}},
		{"no name", "mask_env[0]", map[string]any{"mask_env": []string{"A=B"}}},
		{"an unknown detector", "detect[0]", map[string]any{"detect": []string{"keys"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sdktest.Validate(t, plugin, c.config)
			if len(got) != 1 || got[0].Path != c.path || got[0].Severity != "error" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestWithout(t *testing.T) {
	lines := sdktest.Lines(secretValue+" 68756e746572322d5a713831", "aHVudGVyMi1acTgx")
	job := jobWith(secretValue)
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, lines...), "********** **********", "**********")
	job.Config = map[string]any{"without": []string{"hex", "wrapped"}}
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, lines...), "********** 68756e746572322d5a713831", "**********")
	for _, kind := range forms.Encodings() {
		if got := sdktest.Validate(t, plugin, map[string]any{"without": []string{kind.String()}}); len(got) > 0 {
			t.Errorf("without %v: %+v", kind, got)
		}
	}
}

func TestValuesOfTheEnvironment(t *testing.T) {
	t.Setenv("SANITIZE_TEST_TOKEN", "tok3n-of-env")
	job := sdktest.Job{Config: map[string]any{"mask_env": []string{"SANITIZE_TEST_TOKEN"}}}
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, sdktest.Lines("a tok3n-of-env")...), "a **********")
	c := config{MaskEnv: []string{"SANITIZE_TEST_NONE"}}
	var d sdk.Diagnostics
	if c.Configure(t.Context(), &d); !d.HasErrors() {
		t.Error("a variable that is not set is taken")
	}
}

func TestDamagedCheckpointsAreRefused(t *testing.T) {
	open := func() *processor {
		p, err := start(t.Context(), sdk.Job{Secrets: []sdk.Secret{{Key: "K", Value: []byte("ab12\ncd34")}}}, config{MinLength: 4})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	if err := p.add(t.Context(), []byte("dyn-1234")); err != nil {
		t.Fatal(err)
	}
	p.streams = []*stream{{
		from: origin{"job", sdk.Stdout}, mode: heading, head: []byte("hea"), held: []heldLine{{[]byte("ab12"), 7}},
		run: p.rows.Step(p.rows.Step(sequenceStart, []byte("ab12")), []byte("cd34")), key: 3, until: "to-ken-1",
	}}
	good, err := p.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	again := open()
	if err := again.Restore(good); err != nil {
		t.Fatal(err)
	}
	again.saved = nil
	if saved, err := again.Checkpoint(); err != nil || !bytes.Equal(saved, good) {
		t.Errorf("restored to %q from %q, %v", saved, good, err)
	}
	for n := 1; n < len(good); n++ {
		p := open()
		if err := p.Restore(good[:n]); err == nil && len(p.streams) == 1 {
			t.Errorf("the first %d of %d bytes are taken", n, len(good))
		}
	}
	if err := open().Restore(append([]byte{9}, good[1:]...)); err == nil {
		t.Error("another version is taken")
	}
}

var sequenceStart sequence.State
