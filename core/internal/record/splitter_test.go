package record_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/podrunner/runner/core/internal/record"
)

// splitAll splits what comes in chunks of n bytes, and returns texts and flags of the records.
func splitAll(in []byte, n int) (texts []string, flags []record.Flags) {
	s := record.Splitter{}
	take := func(records []record.Record) {
		for _, r := range records {
			texts, flags = append(texts, string(r.Text)), append(flags, r.Flags)
		}
	}
	for len(in) > 0 {
		chunk := bytes.Clone(in[:min(n, len(in))])
		take(s.Split(chunk, 1))
		clear(chunk) // as the next read does
		in = in[min(n, len(in)):]
	}
	take(s.End(1))
	return texts, flags
}

func TestSplit(t *testing.T) {
	full := strings.Repeat("x", record.MaxBytes)
	for _, c := range []struct {
		name, in string
		want     []string
		partial  int // how many of the first are
	}{
		{"nothing", "", nil, 0},
		{"lines", "a\nb\n", []string{"a", "b"}, 0},
		{"no newline at the end", "a\nb", []string{"a", "b"}, 0},
		{"empty lines", "\n\na\n\n", []string{"", "", "a", ""}, 0},
		{"CR stays", "a\r\nb\r\n", []string{"a\r", "b\r"}, 0},
		{"any bytes", "\x00\xff\n\xfe", []string{"\x00\xff", "\xfe"}, 0},
		{"full record", full + "\nb\n", []string{full, "b"}, 0},
		{"full record without newline", full, []string{full}, 0},
		{"one byte more", full + "y\nb\n", []string{full, "y", "b"}, 1},
		{"twice full", full + full + "\n", []string{full, full}, 1},
		{"cut before a rune", full[1:] + "ä\n", []string{full[1:], "ä"}, 1},
		{"cut before a long rune", full[3:] + "😀\n", []string{full[3:], "😀"}, 1},
		{"no rune border", strings.Repeat("\x80", record.MaxBytes+2), []string{
			strings.Repeat("\x80", record.MaxBytes), "\x80\x80",
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 1000, record.MaxBytes, 64 << 10, 1 << 20} {
				texts, flags := splitAll([]byte(c.in), n)
				if strings.Join(texts, "|") != strings.Join(c.want, "|") {
					t.Fatalf("in chunks of %d: got %d records %.100q, want %d", n, len(texts), texts, len(c.want))
				}
				for i, f := range flags {
					if (f&record.Partial != 0) != (i < c.partial) {
						t.Errorf("in chunks of %d: record %d has flags %v", n, i, f)
					}
				}
			}
		})
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\nb"), 1, 1)
	f.Add([]byte("\n\r\n\xff"), 2, 9000)
	f.Add([]byte("äöü\n"), 3, 12000)
	f.Fuzz(func(t *testing.T, in []byte, n, repeat int) {
		if repeat < 1 || repeat > 20000 || len(in)*repeat > 1<<20 || n < 1 {
			return
		}
		in = bytes.Repeat(in, repeat)
		texts, flags := splitAll(in, max(n, len(in)/1000))
		valid := utf8.Valid(in)
		var joined []byte
		for i, text := range texts {
			if len(text) > record.MaxBytes {
				t.Fatalf("record %d has %d bytes", i, len(text))
			}
			if valid && !utf8.ValidString(text) {
				t.Fatalf("record %d is cut within a rune", i)
			}
			joined = append(joined, text...)
			if flags[i]&record.Partial == 0 {
				joined = append(joined, '\n')
			} else if i == len(texts)-1 || texts[i+1] == "" {
				t.Fatalf("record %d is partial and nothing follows", i)
			}
		}
		if len(in) > 0 && in[len(in)-1] != '\n' {
			in = append(in, '\n')
		}
		if !bytes.Equal(joined, in) {
			t.Fatal("the records are not the input")
		}
	})
}
