package main

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/redact"
	"github.com/podrunner/runner/sdk/sdktest"
)

// logged is a whole line of a job.
type logged struct {
	stream sdk.Stream
	text   string
}

// cut makes records of lines: whole, or each cut into pieces, with those of the other stream between them. The time of
// all of them is the same: what a line becomes may depend on that of others.
func cut(r *rand.Rand, lines []logged, pieces bool) []sdktest.Line {
	var out []sdktest.Line
	var queues [2][]sdktest.Line
	for _, l := range lines {
		record := sdktest.Line{Stream: l.stream, Text: l.text, Time: firstTime}
		for pieces && len(record.Text) > 0 && r.IntN(4) > 0 {
			n := min(len(record.Text), r.IntN(4)*r.IntN(4)*(1+r.IntN(100)))
			p := record
			p.Text, p.Partial = record.Text[:n], true
			record.Text = record.Text[n:]
			queues[l.stream] = append(queues[l.stream], p)
		}
		queues[l.stream] = append(queues[l.stream], record)
		for !pieces && len(queues[l.stream]) > 0 {
			out, queues[l.stream] = append(out, queues[l.stream][0]), queues[l.stream][1:]
		}
	}
	for len(queues[0])+len(queues[1]) > 0 {
		i := r.IntN(2)
		if len(queues[i]) > 0 {
			out, queues[i] = append(out, queues[i][0]), queues[i][1:]
		}
	}
	return out
}

// ofStream returns the lines of a stream.
func ofStream(result *sdktest.Result, stream sdk.Stream) string {
	var b strings.Builder
	for _, l := range result.Lines {
		if l.Stream == stream {
			b.WriteString(l.Text + "\n")
		}
	}
	return b.String()
}

// properties checks what must hold for any secrets, any lines and any way to cut them.
func properties(t *testing.T, secrets []string, lines []logged, seed uint64) {
	t.Helper()
	job := jobWith(secrets...)
	job.Config = map[string]any{"detect": []string{}} // what detectors find depends on how a long line is cut
	r := rand.New(rand.NewPCG(seed, 11))
	whole := sdktest.Run(t, plugin, job, cut(r, lines, false)...)
	pieces := sdktest.Run(t, plugin, job, cut(r, lines, true)...)
	for stream := range sdk.Stream(2) {
		want := ofStream(whole, stream)
		if got := ofStream(pieces, stream); got != want {
			t.Fatalf("secrets %q, lines %v, seed %d, %v: in pieces it is %q, in whole lines %v", secrets, lines, seed, stream, got, want)
		}
		var in []byte
		for _, l := range lines {
			if l.stream == stream {
				in = append(in, l.text+"\n"...)
			}
		}
		for i, part := range strings.Split(want, redact.Mask) {
			for _, s := range secrets {
				if s = strings.TrimSpace(s); len(s) >= 4 && !strings.Contains(s, "\n") && !isCommon(s) && strings.Contains(part, s) {
					t.Fatalf("secrets %q, lines %v: %q is there", secrets, lines, s)
				}
			}
			for _, c := range []byte(part) {
				at := bytes.IndexByte(in, c)
				if at < 0 {
					t.Fatalf("secrets %q, lines %v: part %d of %q is not from the lines", secrets, lines, i, want)
				}
				in = in[at+1:]
			}
		}
	}
}

func isCommon(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "none", "undefined":
		return true
	}
	return false
}

func TestProperties(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 12))
		alphabet := []string{"ab", "abc=", "ab \n", "aA4=\n", "ab\r"}[r.IntN(5)]
		text := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = alphabet[r.IntN(len(alphabet))]
			}
			return string(b)
		}
		var secrets []string
		for range 1 + r.IntN(3) {
			secrets = append(secrets, text(1+r.IntN(20)))
		}
		var lines []logged
		for range r.IntN(12) {
			stream := sdk.Stream(r.IntN(2))
			switch r.IntN(5) {
			case 0:
				for _, l := range strings.Split(secrets[r.IntN(len(secrets))], "\n") {
					lines = append(lines, logged{stream, l})
				}
			case 1:
				lines = append(lines, logged{stream, strings.ReplaceAll(strings.Repeat(text(20)+"\x1b[m"+text(5), 1+r.IntN(80)), "\n", "")})
			case 2:
				lines = append(lines, logged{stream, "::set-outcome-var " + strings.ReplaceAll(text(3)+"="+text(9), "\n", "")})
			default:
				lines = append(lines, logged{stream, strings.ReplaceAll(text(r.IntN(30)), "\n", "")})
			}
		}
		if strings.Contains(strings.Join(secrets, ""), "=") {
			continue // a directive's own bytes are not masked
		}
		properties(t, secrets, lines, seed)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("hunter2-Zq81", "a hunter2-Zq81\n!b hunter2\x1b[m-Zq81\r", uint64(1))
	f.Add("ab12\x00cd34|x7", "ab12\ncd34\n!ab12\nx7 x\n::add-mask::abc", uint64(2))
	f.Add("aaaa|aaab", strings.Repeat("aaab aa", 300)+"\naaaa", uint64(3))
	f.Fuzz(func(t *testing.T, list, text string, seed uint64) {
		if len(list) > 300 || len(text) > 5000 || strings.ContainsAny(list, "*:") || strings.Contains(text, "*") {
			return // a mask that is no mask, and directives, are for other tests
		}
		secrets := strings.Split(strings.ReplaceAll(list, "\x00", "\n"), "|")
		var lines []logged
		for l := range strings.SplitSeq(text, "\n") {
			l, isErr := strings.CutPrefix(l, "!")
			stream := sdk.Stdout
			if isErr {
				stream = sdk.Stderr
			}
			if !strings.HasPrefix(l, "::add-mask::") {
				lines = append(lines, logged{stream, l})
			}
		}
		properties(t, secrets, lines, seed)
	})
}
