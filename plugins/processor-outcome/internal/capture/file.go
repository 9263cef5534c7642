package capture

import (
	"github.com/podrunner/runner/plugins/processor-outcome/internal/directive"
)

// maxFileNotices is how many mistakes in a step's outcome file are told one by one. There may be as many as lines.
const maxFileNotices = 20

// keptBytes is how much is kept of a line that is too long: enough for a key and a delimiter, and to know that these are.
const keptBytes = directive.MaxKeyBytes + directive.MaxDelimiterBytes + 8

// maxAssignment is the longest line that sets a variable.
const maxAssignment = directive.MaxKeyBytes + len("=") + MaxValueBytes + len("\r")

// Why a line of an outcome file is left out.
const (
	reasonNothing  = "it is neither KEY=VALUE nor KEY<<DELIMITER"
	reasonNoName   = "no name of a variable stands before the \"=\" or \"<<\""
	reasonBadName  = "the name of the variable has other characters than ASCII letters, digits, _ and -"
	reasonLongName = "the name of the variable is longer than 128 bytes"
)

// file is a step's outcome file up to some line. It holds no more than a value and a little.
type file struct {
	// line counts the lines.
	line int
	// head is what has come of a line of which a piece has been seen, its beginning only when it is long.
	head []byte
	long bool

	// open: the lines are those of the variable key, up to one that is equal to delimiter. refused: they are left out.
	open, refused  bool
	key, delimiter string
	// value is that of the variable so far, each line with a newline.
	value []byte

	// told counts the mistakes of this file that have been told, untold those of all files that have not.
	told, untold int
	// unended are the variables that the files of earlier steps have left without an end.
	unended []string
}

// File takes the next piece of a line of the step's outcome file, as Piece does of its output, and returns what to tell of
// it. No piece of the file is for the log.
func (s *State) File(piece []byte, more bool) (notices [][]byte) {
	s.saved.stale = true
	s.endBlocks() // the file follows all output of the step
	f := &s.file
	text := piece
	if more || len(f.head) > 0 {
		if !f.long {
			f.head = append(f.head, piece...)
		}
		text = f.head
	}
	if len(text) > s.longestLine() {
		f.long = true
		text = text[:keptBytes]
	}
	if more {
		f.head = text
		return nil
	}
	long := f.long
	f.head, f.long = nil, false
	f.line++
	if text = directive.TrimReturn(text); f.open {
		return s.fileContent(text, long)
	}
	return s.fileAssignment(text, long)
}

// longestLine is the length of the longest line that matters as a whole.
func (s *State) longestLine() int {
	switch {
	case !s.file.open:
		return maxAssignment
	case s.file.refused:
		return keptBytes
	default:
		return max(MaxValueBytes-len(s.file.value)+len("\r"), keptBytes)
	}
}

// fileAssignment takes a line that is to set a variable, or to begin one of several lines, without a CR at its end. Of a long
// one there is only the beginning.
func (s *State) fileAssignment(text []byte, long bool) [][]byte {
	if len(text) == 0 {
		return nil
	}
	a, ok := directive.Assign(text)
	key := string(a.Key)
	switch {
	case !ok:
		return s.tellLine(reasonNothing)
	case a.Delimited:
		return s.fileStart(a)
	case !directive.IsKey(a.Key):
		return s.tellLine(badName(a.Key))
	case len(a.Key) > directive.MaxKeyBytes:
		return s.tellLine(reasonLongName)
	case long:
		return s.dropFromFile(key, reasonValue)
	}
	if reason := s.refuseSet(key, len(a.Value)); reason != "" {
		return s.dropFromFile(key, reason)
	}
	s.assign(key, a.Value)
	return nil
}

// fileStart begins a variable of several lines. When it is refused, its lines are still left out up to its end: they are
// not what the job means to set.
func (s *State) fileStart(a directive.Assignment) [][]byte {
	f := &s.file
	f.open, f.refused, f.key, f.delimiter = true, true, string(a.Key), delimiterOf(a.Delimiter)
	switch {
	case !directive.IsKey(a.Key):
		return s.tellLine(badName(a.Key))
	case len(a.Key) > directive.MaxKeyBytes:
		return s.tellLine(reasonLongName)
	}
	reason := s.refuseName(f.key)
	switch {
	case reason != "":
	case len(a.Delimiter) == 0:
		reason = reasonNoDelimiter
	case len(a.Delimiter) > directive.MaxDelimiterBytes:
		reason = reasonDelimiter
	default:
		f.refused = false
		return nil
	}
	return s.dropFromFile(f.key, reason)
}

// fileContent takes a line of a variable of several lines, without a CR at its end.
func (s *State) fileContent(text []byte, long bool) [][]byte {
	f := &s.file
	switch {
	case !long && string(text) == f.delimiter:
		return s.fileEnd()
	case f.refused:
		return nil
	case long || len(f.value)+len(text) > MaxValueBytes:
		f.refused, f.value = true, nil
		return s.dropFromFile(f.key, reasonValue)
	}
	f.value = appendLine(f.value, text)
	return nil
}

// fileEnd sets a variable of several lines, which are all there.
func (s *State) fileEnd() [][]byte {
	f := &s.file
	key, value, refused := f.key, f.value, f.refused
	f.close()
	if refused {
		return nil
	}
	if len(value) > 0 {
		value = value[:len(value)-1]
	}
	if reason := s.refuseSet(key, len(value)); reason != "" {
		return s.dropFromFile(key, reason)
	}
	s.assign(key, value)
	return nil
}

func (f *file) close() { f.open, f.refused, f.key, f.delimiter, f.value = false, false, "", "", nil }

// endFile ends the file of a step. What has no end in it is dropped, and told at the end of the log.
func (s *State) endFile() {
	f := &s.file
	if f.open && !f.refused {
		s.forget(f.key)
		f.unended = append(f.unended, f.key)
	}
	*f = file{untold: f.untold, unended: f.unended}
}

// tell returns what is to be told at the end of the log.
func (f *file) tell() [][]byte {
	var lines [][]byte
	for _, key := range f.unended {
		lines = append(lines, unendedLine(key))
	}
	if f.untold > 0 {
		lines = append(lines, untoldLine(f.untold))
	}
	return lines
}

// dropFromFile drops a variable whole.
func (s *State) dropFromFile(key, reason string) [][]byte {
	s.forget(key)
	return s.file.note(droppedLine(key, reason))
}

// tellLine tells that the line that has just been counted is left out.
func (s *State) tellLine(reason string) [][]byte {
	return s.file.note(fileLine(s.step, s.file.line, reason))
}

// note returns what is told of a mistake, if it is one of the first.
func (f *file) note(text []byte) [][]byte {
	if f.told == maxFileNotices {
		f.untold++
		return nil
	}
	f.told++
	return [][]byte{text}
}

func badName(key []byte) string {
	if len(key) == 0 {
		return reasonNoName
	}
	return reasonBadName
}
