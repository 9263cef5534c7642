package record_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/podrunner/runner/core/internal/record"
)

// split cuts data, written in parts, into records; a "…" marks the partial ones.
func split(parts ...string) (out []string) {
	var s record.Splitter
	add := func(r record.Record) {
		text := string(r.Text)
		if r.Flags&record.Partial != 0 {
			text += "…"
		}
		out = append(out, text)
	}
	for _, p := range parts {
		s.Write([]byte(p), 1, add)
	}
	s.Close(1, add)
	return out
}

func TestSplitter(t *testing.T) {
	full := strings.Repeat("x", record.MaxBytes)
	tests := []struct {
		name  string
		parts []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"lines", []string{"a\n\nb\r\n"}, []string{"a", "", "b\r"}},
		{"no LF at the end", []string{"a\nb"}, []string{"a", "b"}},
		{"a line in two writes", []string{"a", "b\nc\n"}, []string{"ab", "c"}},
		{"a line of exactly one record", []string{full + "\n"}, []string{full}},
		{"one byte more", []string{full + "y\n"}, []string{full + "…", "y"}},
		{"one byte more, in two writes", []string{full, "y\n"}, []string{full + "…", "y"}},
		{"three pieces at once", []string{full + full + "y\n"}, []string{full + "…", full + "…", "y"}},
		{"a long line with no end", []string{full + "y", ""}, []string{full + "…", "y"}},
		{"a rune on the border", []string{full[1:] + "é\n"}, []string{full[1:] + "…", "é"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := split(tt.parts...); !slices.Equal(got, tt.want) {
				t.Errorf("%d records, want %d", len(got), len(tt.want))
			}
		})
	}
}

// TestSplitterIsIndependentOfWrites: however the bytes are cut, the records are the same.
func TestSplitterIsIndependentOfWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var data bytes.Buffer
	for range 30 {
		data.WriteString(strings.Repeat("aé", r.IntN(record.MaxBytes)))
		data.WriteByte('\n')
	}
	whole := split(data.String())
	for range 20 {
		var parts []string
		for rest := data.String(); rest != ""; {
			n := min(len(rest), 1+r.IntN(50_000))
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		if !slices.Equal(split(parts...), whole) {
			t.Fatal("other cuts give other records")
		}
	}
}
