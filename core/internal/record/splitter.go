package record

import "bytes"

// Splitter makes records of one stream's bytes: a line each, without its LF, or pieces of at most MaxBytes. All pieces but
// the last are Partial, and the last one is never empty. The zero value is ready; it is for one goroutine.
type Splitter struct {
	// Flags are put on each record; Partial is the Splitter's own.
	Flags Flags
	// rest is what has been read of a line whose end has not; at most MaxBytes.
	rest []byte
	// joined holds a line that rest was the start of, while its record is in use.
	joined []byte
	out    []Record
}

// Split returns the records that chunk, which was written at the time now, completes. They share the memory of chunk and of
// the splitter, and are good until the next call.
func (s *Splitter) Split(chunk []byte, now int64) []Record {
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
func (s *Splitter) join(line []byte) []byte {
	s.rest, s.joined = s.joined[:0], append(s.rest, line...)
	return s.joined
}

// keep keeps the start of a line until more of it comes.
func (s *Splitter) keep(line []byte) {
	if len(line) > 0 && len(s.joined) == len(line) && &s.joined[0] == &line[0] {
		s.rest, s.joined = s.joined, s.rest // it is all that was joined: no need to copy it each time
		return
	}
	s.rest = append(s.rest[:0], line...)
}

// pieces cuts full pieces off a line until what is left fits a record, and returns that.
func (s *Splitter) pieces(line []byte, now int64) []byte {
	for len(line) > MaxBytes {
		n := Cut(line)
		s.add(Partial, now, line[:n])
		line = line[n:]
	}
	return line
}

func (s *Splitter) add(flags Flags, now int64, text []byte) {
	s.out = append(s.out, Record{Flags: s.Flags | flags, Time: now, Text: text})
}

// End returns the record of a last line that no LF has ended, if there is one.
func (s *Splitter) End(now int64) []Record {
	s.out = s.out[:0]
	if len(s.rest) > 0 {
		s.add(0, now, s.rest)
		s.rest = s.rest[:0]
	}
	return s.out
}
