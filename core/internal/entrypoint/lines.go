package entrypoint

import (
	"bytes"
	"unicode/utf8"

	"github.com/podrunner/runner/core/internal/record"
)

// splitter makes records of one stream's bytes: a line each, without its LF, or pieces of at most record.MaxBytes. All
// pieces but the last are Partial, and the last one is never empty.
type splitter struct {
	flags record.Flags
	// rest is what has been read of a line whose end has not; at most record.MaxBytes.
	rest []byte
	// joined holds a line that rest was the start of, while its record is in use.
	joined []byte
	out    []record.Record
}

// split returns the records that chunk completes. They share the memory of chunk and of the splitter, and are good until the
// next call.
func (s *splitter) split(chunk []byte, now int64) []record.Record {
	s.out = s.out[:0]
	for {
		line, after, found := bytes.Cut(chunk, []byte{'\n'})
		if len(s.rest) > 0 {
			line = s.join(line)
		}
		line = s.pieces(line, now)
		if !found {
			s.keep(line)
			return s.out
		}
		s.add(0, now, line)
		chunk = after
	}
}

// join puts what comes next of a line behind its start, and returns both.
func (s *splitter) join(line []byte) []byte {
	s.rest, s.joined = s.joined[:0], append(s.rest, line...)
	return s.joined
}

// keep keeps the start of a line until more of it comes.
func (s *splitter) keep(line []byte) {
	if len(line) > 0 && len(s.joined) == len(line) && &s.joined[0] == &line[0] {
		s.rest, s.joined = s.joined, s.rest // it is all that was joined: no need to copy it each time
		return
	}
	s.rest = append(s.rest[:0], line...)
}

// pieces cuts full pieces off a line until what is left fits a record, and returns that.
func (s *splitter) pieces(line []byte, now int64) []byte {
	for len(line) > record.MaxBytes {
		n := cut(line)
		s.add(record.Partial, now, line[:n])
		line = line[n:]
	}
	return line
}

func (s *splitter) add(flags record.Flags, now int64, text []byte) {
	s.out = append(s.out, record.Record{Flags: s.flags | flags, Time: now, Text: text})
}

// end returns the record of a last line that no LF has ended, if there is one.
func (s *splitter) end(now int64) []record.Record {
	s.out = s.out[:0]
	if len(s.rest) > 0 {
		s.add(0, now, s.rest)
	}
	return s.out
}

// cut says where to cut a line that is longer than a record: at the start of a rune, when the bytes there are UTF-8.
func cut(line []byte) int {
	for n := record.MaxBytes; n > record.MaxBytes-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return record.MaxBytes
}
