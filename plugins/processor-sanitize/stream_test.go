package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/redact"
	"github.com/podrunner/runner/sdk/sdktest"
)

// firstTime is when the jobs of tests write their first line.
var firstTime = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

func stderr(text string) sdktest.Line { return sdktest.Line{Stream: sdk.Stderr, Text: text} }

// run runs a job, also with a crash after each line, and compares the lines that come out.
func run(t *testing.T, job sdktest.Job, lines []sdktest.Line, want ...string) {
	t.Helper()
	sdktest.AssertLines(t, sdktest.Replay(t, plugin, job, lines...), want...)
}

func TestRowsOfShortLines(t *testing.T) {
	job := jobWith("ab12\ncd34\n\nef56\nlonger-line-1\ngh78")
	job.Config = map[string]any{"detect": []string{}}
	for _, c := range []struct {
		name string
		in   []string
		want []string
	}{
		{"all of it", []string{"ab12", "cd34", "", "ef56", "x"}, []string{redact.Mask, redact.Mask, "", redact.Mask, "x"}},
		{"a part of it", []string{"x", "cd34", "", "ef56"}, []string{"x", redact.Mask, "", redact.Mask}},
		{"less than 8 bytes", []string{"ab12", "x", "ef56"}, []string{"ab12", "x", "ef56"}},
		{"at the end", []string{"x", "ab12"}, []string{"x", "ab12"}},
		{"another order", []string{"cd34", "ab12", "x"}, []string{"cd34", "ab12", "x"}},
		{"again from the beginning", []string{"ab12", "ab12", "cd34"}, []string{"ab12", redact.Mask, redact.Mask}},
		{"behind a long line", []string{"longer-line-1", "gh78"}, []string{redact.Mask, redact.Mask}},
		{"before a long line", []string{"", "ef56", "longer-line-1"}, []string{"", redact.Mask, redact.Mask}},
		{"white space around", []string{"\tab12 ", "  cd34\r"}, []string{"\t" + redact.Mask + " ", "  " + redact.Mask}},
		{"colours", []string{"\x1b[32mab12\x1b[m", " \x1b[32mcd\x1b[1m34\x1b[K\r", "x\x1b[m"}, []string{"\x1b[32m" + redact.Mask + "\x1b[m", " \x1b[32m" + redact.Mask + "\x1b[1m\x1b[K", "x\x1b[m"}},
		{"inside another line", []string{"(ab12)", "(cd34)"}, []string{"(ab12)", "(cd34)"}},
		{"empty lines alone", []string{"", "", "ab12", "", "x"}, []string{"", "", "ab12", "", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, job, sdktest.Lines(c.in...), c.want...) })
	}
}

func TestRowsWithColoursInTheValue(t *testing.T) {
	job := jobWith("a\x1b[1mb12\x1b[m\ncd34")
	run(t, job, sdktest.Lines("a\x1b[1mb12\x1b[m", "cd34", "x"), redact.Mask+"\x1b[1m\x1b[m", redact.Mask, "x")
	run(t, job, sdktest.Lines("ab12", "cd34", "x"), redact.Mask, redact.Mask, "x")
}

func TestHeldLines(t *testing.T) {
	job := jobWith("ab12\ncd34")
	at := func(l sdktest.Line, ms int) sdktest.Line {
		l.Time = firstTime.Add(time.Duration(ms) * time.Millisecond)
		return l
	}
	out := func(text string) sdktest.Line { return sdktest.Line{Text: text} }
	long := strings.Repeat("x", 40<<10)
	for _, c := range []struct {
		name  string
		lines []sdktest.Line
		want  []string
	}{
		{"another stream between", []sdktest.Line{out("ab12"), stderr("note"), out("cd34")}, []string{"note", redact.Mask, redact.Mask}},
		{"both streams", []sdktest.Line{out("ab12"), stderr("ab12"), out("x"), stderr("cd34")}, []string{"ab12", "x", redact.Mask, redact.Mask}},
		{
			"a second of another stream",
			[]sdktest.Line{at(out("ab12"), 0), at(stderr("early"), 999), at(stderr("late"), 1000), at(out("cd34"), 1001)},
			[]string{"early", "ab12", "late", redact.Mask},
		},
		{"no time between lines of the stream", []sdktest.Line{at(out("ab12"), 0), at(out("cd34"), 5000)}, []string{redact.Mask, redact.Mask}},
		{"the end of the step", []sdktest.Line{{Step: "init", Text: "ab12"}, {Step: "job", Text: "cd34"}, out("x")}, []string{"ab12", "cd34", "x"}},
		{"a long line behind", []sdktest.Line{out("ab12"), out(long)}, []string{"ab12", long}},
		{"a long line of the other stream behind", []sdktest.Line{at(out("ab12"), 0), at(stderr(long), 2000), at(out("x"), 2001)}, []string{"ab12", long, "x"}},
		{"the end of a long line of the other stream", []sdktest.Line{
			at(sdktest.Line{Stream: sdk.Stderr, Text: long, Partial: true}, 0), at(out("ab12"), 1), at(stderr("end"), 2000), at(out("x"), 2001),
		}, []string{long + "end", "ab12", "x"}},
		{"a line that adds a mask", []sdktest.Line{out("ab12"), out("::add-mask::x"), out("cd34")}, []string{redact.Mask, redact.Mask}},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, job, c.lines, c.want...) })
	}
}

func TestManyEmptyLinesAreNotHeldForEver(t *testing.T) {
	job := jobWith("a1" + strings.Repeat("\n", 200) + "b2\nc3\nd4")
	lines := append([]string{"a1"}, make([]string, 199)...)
	lines = append(lines, "b2", "c3", "d4")
	want := append([]string{"a1"}, make([]string, 199)...)
	want = append(want, redact.Mask, redact.Mask, redact.Mask)
	sdktest.AssertLines(t, sdktest.Run(t, plugin, job, sdktest.Lines(lines...)...), want[:len(lines)]...)
}

func TestAddMask(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []sdktest.Line
		want  []string
	}{
		{"both streams", append(sdktest.Lines("::add-mask::dyn-1234", "a dyn-1234"), stderr("b dyn-1234")), []string{"a **********", "b **********"}},
		{"from standard error", append([]sdktest.Line{stderr("::add-mask::dyn-1234")}, sdktest.Lines("a dyn-1234")...), []string{"a **********"}},
		{"an open line", []sdktest.Line{
			{Text: strings.Repeat("x", 2000) + "dyn-", Partial: true}, stderr("::add-mask::dyn-1234"), {Text: "1234"}, {Text: "dyn-1234"},
		}, []string{strings.Repeat("x", 2000) + "dyn-1234", redact.Mask}},
		{"in pieces", []sdktest.Line{piece("job", 0, "::add-"), piece("job", 0, "mask::dyn"), last("job", 0, "-1234"), {Text: "dyn-1234"}}, []string{redact.Mask}},
		{"a short one", sdktest.Lines("::add-mask::x7", "x7 0x7"), []string{"********** 0x7"}},
		{"an empty one", sdktest.Lines("::add-mask::", "::add-mask:: \t", "a"), []string{"a"}},
		{"several lines", sdktest.Lines("::add-mask::first-part%0Ax7%0D%0Asecond-part", "a first-part", "second-part b"), []string{"a **********", "********** b"}},
		{"more after more", sdktest.Lines("::add-mask::dyn-1", "::add-mask::dyn-2", "::add-mask::dyn-1", "dyn-1 dyn-2 dyn-3", "::add-mask::dyn-3", "dyn-3dyn-1"), []string{"********** ********** dyn-3", redact.Mask}},
		{"not in the first column", sdktest.Lines(" ::add-mask::dyn-1234", "dyn-1234"), []string{" ::add-mask::dyn-1234", "dyn-1234"}},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, sdktest.Job{}, c.lines, c.want...) })
	}
}

func TestAddedMasksAreInTheResult(t *testing.T) {
	job := sdktest.Job{End: sdk.End{Outcome: "failed", Message: "no dyn-1234", Variables: []sdk.Variable{{Key: "v", Value: []byte("dyn-1234")}}}}
	result := sdktest.Replay(t, plugin, job, sdktest.Lines("::add-mask::dyn-1234")...)
	if result.End.Message != "no **********" || string(result.End.Variables[0].Value) != redact.Mask {
		t.Errorf("got %+v", result.End)
	}
}

func TestAddedMasksHaveLimits(t *testing.T) {
	p, err := start(t.Context(), sdk.Job{}, config{MinLength: 4})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxAdded {
		if err := p.add(t.Context(), fmt.Appendf(nil, "dynamic-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.add(t.Context(), []byte("dynamic-1")); err != nil {
		t.Errorf("one that is there already: %v", err)
	}
	if err := p.add(t.Context(), []byte("one-too-many")); err == nil || strings.Contains(err.Error(), "one-too-many") {
		t.Errorf("one too many: %v", err)
	}
	saved, err := p.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	again, err := start(t.Context(), sdk.Job{}, config{MinLength: 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(saved); err != nil || string(again.masked(&stream{}, []byte("a dynamic-77 b"))) != "a ********** b" {
		t.Errorf("restore: %v", err)
	}
	if err := p.add(t.Context(), []byte(strings.Repeat("long", maxAddedBytes))); err == nil {
		t.Error("a value that is too long is taken")
	}
}

func TestDirectivesStayWhole(t *testing.T) {
	job := jobWith("outcome", "set", "key-name", "multiline", "stop")
	run(t, job, append(sdktest.Lines(
		"::set-outcome-var key-name=outcome key-name",
		"::start-multiline-outcome-var key-name",
		"outcome",
		"::end-multiline-outcome-var",
		"::stop-commands::outcome",
		"::set-outcome-var key-name=key-name"+strings.Repeat("x", 40<<10),
		"the outcome",
	), stderr("::set-outcome-var key-name=v")),
		"::set-outcome-var key-name=********** **********",
		"::start-multiline-outcome-var key-name",
		redact.Mask,
		"::end-multiline-outcome-var",
		"::stop-commands::**********",
		"::set-outcome-var key-name=**********"+strings.Repeat("x", 40<<10),
		"the **********",
		"::**********-**********-var **********=v",
	)
}

func TestStoppedDirectives(t *testing.T) {
	run(t, jobWith("key-name"), append(sdktest.Lines(
		"::stop-commands::to-ken-1", "::add-mask::dyn-1234", "::set-outcome-var key-name=dyn-1234", "::to-ken-1::", "::add-mask::dyn-1234", "dyn-1234",
	), stderr("::stop-commands::to-ken-2"), stderr("::add-mask::dyn-5678"), stderr("dyn-5678")),
		"::stop-commands::to-ken-1", "::add-mask::dyn-1234", "::set-outcome-var **********=dyn-1234", "::to-ken-1::", redact.Mask,
		"::stop-commands::to-ken-2", redact.Mask)
	run(t, sdktest.Job{}, []sdktest.Line{
		{Step: "init", Text: "::stop-commands::to-ken-1"}, {Step: "job", Text: "::add-mask::dyn-1234"}, {Step: "job", Text: "dyn-1234"},
	}, "::stop-commands::to-ken-1", redact.Mask)
}

func TestOutcomeFile(t *testing.T) {
	file := func(text string) sdktest.Line { return sdktest.Line{Stream: sdk.Outcome, Text: text} }
	out := func(text string) sdktest.Line { return sdktest.Line{Text: text} }
	long := strings.Repeat("x", 40<<10)
	run(t, jobWith("token", "ab12\ncd34"), []sdktest.Line{
		out("ab12"),
		file("token=token"), file("token<<token"), file("token=x"), file("::add-mask::dyn-1234"), file("token"), file("token=token" + long),
		file("ab12"), file("x"), out("cd34"), out("dyn-1234"),
	},
		"token=**********", "token<<token", "**********=x", "::add-mask::dyn-1234", "token", "token=**********"+long,
		"ab12", "x", redact.Mask, redact.Mask, "dyn-1234")
}

func TestKeys(t *testing.T) {
	lines := func(texts ...string) []sdktest.Line { return sdktest.Lines(texts...) }
	begin, end := "-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----"
	for _, c := range []struct {
		name  string
		lines []sdktest.Line
		want  []string
	}{
		{"a key", lines("a", begin, "Proc-Type: 4,ENCRYPTED", "", "  MIIBabc+/==\r", end, "MIIBabc"), []string{"a", redact.Mask, redact.Mask, "", "  " + redact.Mask, redact.Mask, "MIIBabc"}},
		{"text around it", lines("cat "+begin, "MIIB"), []string{"cat " + redact.Mask, redact.Mask}},
		{"in one line", lines(`{"k":"`+begin+`\nMIIB\n`+end+`\n"}`, "MIIB"), []string{`{"k":"` + redact.Mask + `\n"}`, "MIIB"}},
		{"in colours", lines("\x1b[32m"+begin+"\x1b[m", "\x1b[32mMI\x1b[1mIB\x1b[m", "\x1b[32m"+end+"\x1b[m", "MIIB"), []string{"\x1b[32m" + redact.Mask + "\x1b[m", "\x1b[32m" + redact.Mask + "\x1b[1m\x1b[m", "\x1b[32m" + redact.Mask + "\x1b[m", "MIIB"}},
		{"in a list", lines("  '"+begin+"',", "  'MIIB',", "  '"+end+"'", "MIIB"), []string{"  '" + redact.Mask, "  " + redact.Mask, "  " + redact.Mask, "MIIB"}},
		{"a search for one", lines("+ grep '"+begin+"' f", "error: none found"), []string{"+ grep '" + redact.Mask, "error: none found"}},
		{"with no end", lines(begin, "MIIB", "an ordinary line", "MIIB"), []string{redact.Mask, redact.Mask, "an ordinary line", "MIIB"}},
		{"the other stream", append(lines(begin), stderr("MIIB")), []string{redact.Mask, "MIIB"}},
		{"a public key", lines("-----BEGIN PUBLIC KEY-----", "MIIB"), []string{"-----BEGIN PUBLIC KEY-----", "MIIB"}},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, sdktest.Job{}, c.lines, c.want...) })
	}
	job := sdktest.Job{Config: map[string]any{"detect": []string{}}}
	run(t, job, lines(begin, "MIIB"), begin, "MIIB")
}

func TestDetectorsAndPatterns(t *testing.T) {
	token := "ghp_" + strings.Repeat("a1", 18)
	in := sdktest.Lines("git clone https://me:s3cr3t@example.com/", "token "+token, "pin=1234 PIN 77")
	job := sdktest.Job{}
	run(t, job, in, "git clone https://me:**********@example.com/", "token "+token, "pin=1234 PIN 77")
	job.Config = map[string]any{"detect": []string{"tokens"}, "patterns": []string{`pin=(\d+)`, `PIN \d+`}}
	run(t, job, in, "git clone https://me:s3cr3t@example.com/", "token **********", "pin=********** **********")
	job = jobWith("1234")
	job.Config = map[string]any{"patterns": []string{`in=12`}}
	run(t, job, in[2:], "p********** PIN 77")
	job.End = sdk.End{Outcome: "failed", Message: "x://a:b@c\npin=12"}
	if got := sdktest.Run(t, plugin, job).End.Message; got != "x://a:**********@c\np**********" {
		t.Errorf("message %q", got)
	}
}

func TestColours(t *testing.T) {
	run(t, jobWith(secretValue), sdktest.Lines("m: \x1b[31mhunter2\x1b[m-Zq81 x", "\x1b[1mnone\x1b[m\r"),
		"m: \x1b[31m**********\x1b[m x", "\x1b[1mnone\x1b[m")
}
