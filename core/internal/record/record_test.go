package record_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/record"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

func TestConstantsAreTheProtocols(t *testing.T) {
	for name, pair := range map[string][2]int{
		"MaxBytes":      {record.MaxBytes, protocol.MaxRecordBytes},
		"MaxBatchBytes": {record.MaxBatchBytes, protocol.MaxBatchBytes},
		"MaxBatchLines": {record.MaxBatchLines, protocol.MaxBatchLines},
		"Stderr":        {int(record.Stderr), int(pluginv1.Flag_FLAG_STDERR)},
		"Partial":       {int(record.Partial), int(pluginv1.Flag_FLAG_PARTIAL)},
		"Outcome":       {int(record.Outcome), int(pluginv1.Flag_FLAG_OUTCOME)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d here and %d in the protocol", name, pair[0], pair[1])
		}
	}
}

func TestBuilderKeepsRecords(t *testing.T) {
	want := []record.Record{
		{Time: 1000, Text: []byte("first")},
		{Flags: record.Stderr, Time: 999, Text: []byte{}},
		{Flags: record.Partial, Time: 5000, Text: []byte("\x00\xff")},
	}
	var b record.Builder
	for _, r := range want {
		b.Add(record.StepJob, r)
	}
	batch := b.Take()
	var got []record.Record
	for i, r := range batch.All {
		if !bytes.Equal(batch.Text(i), r.Text) {
			t.Errorf("Text(%d) = %q, All says %q", i, batch.Text(i), r.Text)
		}
		got = append(got, r)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if b.Take() != nil {
		t.Error("a taken batch is still there")
	}
}

// TestAddRunIsAdd: records that are copied as runs, of any lengths, make the batches that Add makes of them.
func TestAddRunIsAdd(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var source record.Builder
		now, jump := int64(1000), int64(r.IntN(3))
		for {
			text := make([]byte, r.IntN([]int{2, 200, 5000}[seed%3]))
			if !source.Fits(record.StepJob, len(text)) {
				break
			}
			source.Add(record.StepJob, record.Record{Flags: record.Flags(r.IntN(4)), Time: now, Text: text})
			now += jump * int64(r.IntN(50)-10)
		}
		batch := source.Take()
		var one, runs record.Builder
		var want, got []*record.Batch
		first := record.Record{Time: 5, Text: make([]byte, r.IntN(20000))}
		one.Add(record.StepJob, first)
		runs.Add(record.StepJob, first)
		for _, x := range batch.All {
			if !one.Fits(record.StepJob, len(x.Text)) {
				want = append(want, one.Take())
			}
			one.Add(record.StepJob, x)
		}
		for from, before := 0, batch.BaseTime; from < batch.Len(); {
			to := min(from+1+r.IntN(100), batch.Len())
			n := runs.AddRun(batch, from, to, before)
			if n < to-from {
				got = append(got, runs.Take())
			}
			before += batch.Elapsed(from, from+n)
			from += n
		}
		if !reflect.DeepEqual(append(got, runs.Take()), append(want, one.Take())) {
			t.Fatalf("seed %d: the batches differ", seed)
		}
	}
}

func TestAddRunKeepsStepsApart(t *testing.T) {
	var b, source record.Builder
	source.Add(record.StepJob, record.Record{Text: []byte("job")})
	batch := source.Take()
	b.Add(record.StepInit, record.Record{Text: []byte("init")})
	if n := b.AddRun(batch, 0, 1, 0); n != 0 {
		t.Errorf("a batch of step init takes %d records of step job", n)
	}
}

func TestBuilderLimits(t *testing.T) {
	tests := []struct {
		name string
		line int
		step string
		want int
	}{
		{"many empty lines", 0, record.StepJob, record.MaxBatchLines},
		{"lines of 100 bytes", 100, record.StepJob, record.MaxBatchBytes / 110},
		{"the largest record", record.MaxBytes, record.StepJob, 1},
		{"another step", 10, record.StepInit, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b record.Builder
			text := make([]byte, tt.line)
			b.Add(record.StepJob, record.Record{Text: text})
			for b.Fits(tt.step, tt.line) {
				b.Add(tt.step, record.Record{Text: text})
			}
			if got := b.Len(); got != tt.want {
				t.Errorf("a batch takes %d records, want %d", got, tt.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		name string
		text string
		want int
	}{
		{"short", "abc", 3},
		{"exactly one record", strings.Repeat("a", record.MaxBytes), record.MaxBytes},
		{"ascii", strings.Repeat("a", record.MaxBytes+1), record.MaxBytes},
		{"a rune across the border", strings.Repeat("a", record.MaxBytes-1) + "é and more", record.MaxBytes - 1},
		{"no rune start anywhere near", strings.Repeat("\x80", record.MaxBytes+10), record.MaxBytes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := record.Cut([]byte(tt.text))
			if got != tt.want {
				t.Errorf("Cut = %d, want %d", got, tt.want)
			}
			if utf8.ValidString(tt.text) && !utf8.ValidString(tt.text[:got]) {
				t.Error("a rune was cut")
			}
		})
	}
}
