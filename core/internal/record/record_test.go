package record_test

import (
	"bytes"
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
