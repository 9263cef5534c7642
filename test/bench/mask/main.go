// Mask measures how fast sensitive values are found and masked: the SDK's own redactor against a strings.NewReplacer and a
// loop of bytes.ReplaceAll, in turns, in one run, on one processor, with the same texts to find in the same corpus. It
// goes by processor time, prints one table, and judges no time; it fails when the three do not mask the same. Run it from the repository:
// `make bench-mask`.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
	"github.com/podrunner/runner/sdk/mask/redact"
)

const (
	lineBytes = 100
	many      = 10_000
)

func main() {
	megabytes := flag.Int("mb", 8, "size of the corpus, `MiB`")
	rounds := flag.Int("rounds", 5, "how often each is run; the best counts")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := measure(max(*megabytes, 1)<<20, max(*rounds, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "bench-mask:", err)
		os.Exit(1)
	}
}

func measure(size, rounds int) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(w, "MB/s of processor time, corpus of %d MiB\tredactor\tstrings.NewReplacer\tbytes.ReplaceAll\t\n", size>>20)
	for _, n := range []int{10, 150, 1000} {
		values := makeValues(n)
		for _, hits := range []bool{false, true} {
			c := makeCorpus(size, values, hits)
			speeds, err := compare(c, values, rounds)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t\n", rowName(n, hits), speeds[0], speeds[1], speeds[2])
		}
	}
	if err := measureWritings(w, size, rounds); err != nil {
		return err
	}
	values := makeValues(many)
	c := makeCorpus(size, values, false)
	masker, took, memory := build(values)
	_, _ = fmt.Fprintf(w, "%s\t%.0f\t\t\t\n", rowName(many, false), speed(c, rounds, func() { masker.run(c) }))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Printf("\n%d texts of %d bytes: made in %.1f ms, %.1f MiB of memory\n",
		many, len(bytes.Join(values, nil)), took.Seconds()*1e3, float64(memory)/(1<<20))
	return err
}

// measureWritings measures the texts that stand for variables as the processor looks for them: in all their writings.
func measureWritings(w io.Writer, size, rounds int) error {
	values := makeValues(10)
	var secrets []policy.Secret
	for i, v := range values {
		secrets = append(secrets, policy.Secret{Key: fmt.Sprint("K", i), Value: v})
	}
	selection, err := policy.Select(secrets, policy.Options{MinLength: policy.DefaultMinLength})
	if err != nil {
		return err
	}
	m := &masker{redactor: redact.New(selection.Lines)}
	for _, hits := range []bool{false, true} {
		c := makeCorpus(size, values, hits)
		name := strings.Replace(rowName(10, hits), "texts", fmt.Sprintf("variables (%d texts)", len(selection.Lines)), 1)
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t\t\t\n", name, speed(c, rounds, func() { m.run(c) }))
	}
	return nil
}

func rowName(n int, hits bool) string {
	if hits {
		return fmt.Sprintf("%d texts, one in each line", n)
	}
	return fmt.Sprintf("%d texts, none in the corpus", n)
}

// corpus is lines of the kind that builds print, each with its line end.
type corpus struct {
	text  []byte
	lines [][]byte // without the line ends
}

var words = strings.Fields("INFO go: downloading github.com/hashicorp/go-plugin v1.8.0 === RUN TestServer/accepts_a_request Step 7/12 : " +
	"RUN apt-get update && install -y --no-install-recommends ca-certificates curl ---> 8f3d9a1c2b7e npm WARN deprecated " +
	"har-validator@5.1.5: this library is no longer supported method=GET path=/api/v1/items/4711 status=200 duration=12.3ms")

// makeCorpus makes lines of lineBytes. With hits each holds one of the values.
func makeCorpus(size int, values [][]byte, hits bool) *corpus {
	r := rand.New(rand.NewPCG(1, 2))
	c := &corpus{}
	for len(c.text) < size {
		var line []byte
		if hits {
			line = append(line, values[r.IntN(len(values))]...)
		}
		for len(line) < lineBytes-1 {
			line = append(append(line, ' '), words[r.IntN(len(words))]...)
		}
		line = line[:lineBytes-1]
		c.text = append(append(c.text, line...), '\n')
	}
	for line := range bytes.Lines(c.text) {
		c.lines = append(c.lines, bytes.TrimSuffix(line, []byte{'\n'}))
	}
	return c
}

// makeValues makes values as services hand them out, none of which holds another one.
func makeValues(n int) [][]byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	r := rand.New(rand.NewPCG(3, 4))
	values := make([][]byte, n)
	for i := range values {
		values[i] = make([]byte, 12+r.IntN(29))
		for k := range values[i] {
			values[i][k] = letters[r.IntN(len(letters))]
		}
	}
	return values
}

// masker masks a corpus line by line, as a processor does.
type masker struct {
	redactor *redact.Redactor
	out      []byte
}

// build makes a masker, and tells how long that took and how much memory it keeps.
func build(values [][]byte) (m *masker, took time.Duration, memory uint64) {
	forms := make([]match.Form, len(values))
	for i, v := range values {
		forms[i].Text = v
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := used()
	m = &masker{redactor: redact.New(forms)}
	took = used() - begin
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(forms)
	return m, took, after.HeapAlloc - before.HeapAlloc
}

func (m *masker) run(c *corpus) {
	m.out = m.out[:0]
	for _, line := range c.lines {
		m.out = append(redact.Apply(m.out, line, m.redactor.Line(line, 0)), '\n')
	}
}

// compare returns the speeds of the three, in MB/s.
func compare(c *corpus, values [][]byte, rounds int) ([3]float64, error) {
	m, _, _ := build(values)
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, string(v), redact.Mask)
	}
	replacer, text := strings.NewReplacer(pairs...), string(c.text)
	var replaced string
	var looped []byte
	run := [3]func(){
		func() { m.run(c) },
		func() { replaced = replacer.Replace(text) },
		func() {
			looped = c.text
			for _, v := range values {
				looped = bytes.ReplaceAll(looped, v, []byte(redact.Mask))
			}
		},
	}
	var speeds [3]float64
	for round := range rounds {
		for i := range run {
			if i == 2 && round > 0 && len(values) > 500 {
				continue // it takes too long
			}
			speeds[i] = max(speeds[i], speed(c, 1, run[i]))
		}
	}
	if string(m.out) != replaced || !bytes.Equal(m.out, looped) {
		return speeds, fmt.Errorf("with %d texts the three do not mask the same", len(values))
	}
	return speeds, nil
}

// speed returns the best speed of some rounds, in MB/s.
func speed(c *corpus, rounds int, run func()) float64 {
	best := 0.0
	for range rounds {
		begin := used()
		run()
		best = max(best, float64(len(c.text))/1e6/(used()-begin).Seconds())
	}
	return best
}

// used returns the processor time of this program so far: on a machine that does other things, too, it tells more than a
// clock.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(fmt.Sprintf("getrusage: %v", err)) // it fails for wrong arguments only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
