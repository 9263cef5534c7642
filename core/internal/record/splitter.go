package record

import "bytes"

// Splitter cuts the bytes of one stream into records: at each LF, and a line that is too long into pieces. It keeps at
// most one record's bytes. The zero value is ready; it is for one goroutine.
type Splitter struct {
	// Flags are put on each record; Partial is the Splitter's own.
	Flags Flags
	// carry is the line that has not ended yet, less the pieces of it that have been handed out; open says that there
	// are such.
	carry []byte
	open  bool
}

// Write takes bytes that were written at the time now and calls add for each record that they complete. The record's
// text is valid until add returns.
func (s *Splitter) Write(p []byte, now int64, add func(Record)) {
	for len(p) > 0 {
		line, ended := p, false
		if end := bytes.IndexByte(p, '\n'); end >= 0 {
			line, ended = p[:end], true
		}
		p = p[len(line):]
		if ended {
			p = p[1:]
		}
		s.take(line, ended, now, add)
	}
}

// take adds bytes to the current line, of which there are more to come unless it has ended.
func (s *Splitter) take(line []byte, ended bool, now int64, add func(Record)) {
	for len(s.carry)+len(line) > MaxBytes {
		// The piece is cut where both parts together say; what of line belongs to it is the only copy.
		room := MaxBytes + 1 - len(s.carry)
		text := line
		if len(s.carry) > 0 {
			s.carry = append(s.carry, line[:room]...)
			line, text = line[room:], s.carry
		}
		n := Cut(text)
		add(Record{Flags: s.Flags | Partial, Time: now, Text: text[:n]})
		s.open = true
		if len(s.carry) > 0 {
			s.carry = append(s.carry[:0], s.carry[n:]...)
		} else {
			line = line[n:]
		}
	}
	if !ended {
		s.carry = append(s.carry, line...)
		return
	}
	if len(s.carry) > 0 {
		line = append(s.carry, line...)
	}
	add(Record{Flags: s.Flags, Time: now, Text: line})
	s.carry, s.open = s.carry[:0], false
}

// Close ends the stream: a last line without an LF is a record, too.
func (s *Splitter) Close(now int64, add func(Record)) {
	if len(s.carry) > 0 || s.open {
		add(Record{Flags: s.Flags, Time: now, Text: s.carry})
	}
	s.carry, s.open = nil, false
}
