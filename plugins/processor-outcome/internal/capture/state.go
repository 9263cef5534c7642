// Package capture follows the standard output of one job and takes outcome variables out of it. It knows lines and
// pieces of lines; it does not know the plugin protocol.
//
// What a job prints can not make a State grow without bound: what passes a limit goes back to the log, with a line that
// says so.
package capture

import "github.com/podrunner/runner/plugins/processor-outcome/internal/directive"

// Edit is what becomes of a piece of a line. The zero Edit lets it pass.
type Edit struct {
	// Drop removes the piece.
	Drop bool
	// Replace, unless nil, is put in place of the piece.
	Replace []byte
	// Insert are lines to add after it. Only the last piece of a line has any.
	Insert [][]byte
}

// State is what is known of a job's log up to some line. The zero State is that of a log that has not begun. What it
// returns is valid until its next call.
type State struct {
	step string
	variables
	// blocks are open, outermost first. A line goes to the last one.
	blocks []block
	// ended are blocks that were open when their step ended.
	ended []block
	// held is the number of bytes in the lines of blocks and ended.
	held int
	// token, unless empty, is that of the line which ends a time in which there are no directives.
	token string
	// file is the outcome file of the step, and what is to be told of files.
	file file

	// What follows is about the line of which a piece has been seen and another one is to come.

	mode mode
	// head is the line so far when mode is holding.
	head []byte
	// after are lines to add when the line is over.
	after [][]byte

	saved checkpoint
}

// mode is what is being done with the pieces of a line.
type mode byte

const (
	// fresh: the next piece begins a line.
	fresh mode = iota
	// holding: the line is being captured, or may be yet. Its pieces are out of the log and in State.head.
	holding
	// passing: the rest of the line stays in the log.
	passing
	// dropping: the rest of the line is removed.
	dropping
	modes
)

// Enter says that the pieces that follow are of a step. Neither a block nor a stop of directives
// goes on from one step to the next.
func (s *State) Enter(step string) {
	if s.step == step {
		return
	}
	s.endBlocks()
	s.endFile()
	s.token = ""
	s.step, s.saved.stale = step, true
}

// Ignores reports whether a whole line or, with more set, a piece of one passes without changing anything. It is the
// quick way around Piece.
func (s *State) Ignores(piece []byte, more bool) bool {
	return s.mode == fresh && !more && len(s.blocks) == 0 && (len(piece) == 0 || piece[0] != ':')
}

// Piece takes the next piece of a line, which is all of it when more was not set before and is not set now.
func (s *State) Piece(piece []byte, more bool) Edit {
	switch s.mode {
	case passing:
		return s.pass(nil, more, nil)
	case dropping:
		return s.drop(more)
	case holding:
		s.saved.stale = true
		s.head = append(s.head, piece...)
		return s.line(s.head, more)
	default:
		return s.line(piece, more)
	}
}

// line takes a line from its beginning, as far as it has come.
func (s *State) line(text []byte, more bool) Edit {
	if s.token != "" {
		return s.stopped(text, more)
	}
	if n := len(s.blocks) - 1; n >= 0 && s.blocks[n].delimited {
		return s.delimited(s.blocks[n].delimiter, text, more)
	}
	d := directive.Parse(text, more)
	switch {
	case d.Kind == directive.Undecided:
		return s.hold(text)
	case d.Kind == directive.Trace:
		return s.pass(text, more, nil)
	case d.Kind == directive.Start:
		return s.start(d, text, more)
	case len(s.blocks) > 0 && d.Kind == directive.End:
		return s.end(text, more)
	case len(s.blocks) > 0:
		return s.content(text, more)
	case d.Kind == directive.Set:
		return s.set(string(d.Key), d.Value, text, more)
	case d.Kind == directive.Stop:
		return s.stop(d.Token, text, more)
	default:
		return s.pass(text, more, nil)
	}
}

func (s *State) set(key string, value, text []byte, more bool) Edit {
	if reason := s.refuseSet(key, len(value)); reason != "" {
		return s.refuse(key, reason, text, more)
	}
	if more {
		return s.hold(text)
	}
	s.saved.stale = true
	s.assign(key, value)
	return s.drop(false)
}

func (s *State) start(d directive.Line, text []byte, more bool) Edit {
	if reason := s.refuseStart(d, len(text)); reason != "" {
		edit := s.refuse(string(d.Key), reason, text, more)
		s.openRefused(d)
		return edit
	}
	if more {
		return s.hold(text)
	}
	s.saved.stale = true
	s.open(d, text)
	return s.drop(false)
}

// stop has directives be ordinary lines from here on.
func (s *State) stop(token, text []byte, more bool) Edit {
	if reason := directive.RefuseToken(token); reason != "" {
		return s.pass(text, more, [][]byte{stopLine(reason)})
	}
	s.saved.stale = true
	s.token = string(token)
	return s.drop(more)
}

// stopped takes a line while there are no directives.
func (s *State) stopped(text []byte, more bool) Edit {
	switch {
	case !directive.IsResume(text, s.token, more):
		return s.pass(text, more, nil)
	case more:
		return s.hold(text)
	default:
		s.saved.stale = true
		s.token = ""
		return s.drop(false)
	}
}

// delimited takes a line of a block that ends with a delimiter.
func (s *State) delimited(delimiter string, text []byte, more bool) Edit {
	switch {
	case !directive.IsDelimiter(text, delimiter, more):
		return s.content(text, more)
	case more:
		return s.hold(text)
	default:
		return s.end(text, false)
	}
}

func (s *State) end(text []byte, more bool) Edit {
	s.saved.stale = true
	key, refused := s.closeBlock()
	if refused {
		return s.pass(text, more, nil)
	}
	s.cutNewline(key)
	return s.drop(more)
}

func (s *State) content(text []byte, more bool) Edit {
	b := &s.blocks[len(s.blocks)-1]
	if b.refused > 0 {
		return s.pass(text, more, nil)
	}
	if reason := s.refuseContent(b.key, len(text)); reason != "" {
		return s.refuse(b.key, reason, text, more)
	}
	if more {
		return s.hold(text)
	}
	s.saved.stale = true
	value := text
	if b.delimited {
		value = directive.TrimReturn(text)
	}
	s.appendLine(b.key, value)
	b.lines = appendLine(b.lines, text)
	s.held += len(text) + 1
	return s.drop(false)
}

// refuse drops a variable whole and gives the lines of its open blocks back to the log, with a line that says why. They
// stand before the line that is over the limit, unless the beginning of that one has to go first, as its end is yet to
// come.
func (s *State) refuse(key, reason string, text []byte, more bool) Edit {
	s.saved.stale = true
	s.forget(key)
	lines := append([][]byte{droppedLine(key, reason)}, s.releaseBlocks(key)...)
	if more || len(lines) == 1 {
		return s.pass(text, more, lines)
	}
	s.endLine()
	return Edit{Drop: true, Insert: append(lines, text)}
}

// hold takes a line out of the log as far as it has come.
func (s *State) hold(text []byte) Edit {
	if s.mode == fresh {
		s.saved.stale = true
		s.mode, s.head = holding, append(s.head, text...)
	}
	return Edit{Drop: true}
}

// pass leaves a line in the log. text is what has come of it, insert what is to follow it.
func (s *State) pass(text []byte, more bool, insert [][]byte) Edit {
	var edit Edit
	if s.mode == holding {
		edit.Replace = text
	}
	if insert != nil {
		s.after = insert
	}
	if !more {
		edit.Insert = s.after
		s.endLine()
	} else if s.mode != passing {
		s.saved.stale = true
		s.mode, s.head = passing, nil
	}
	return edit
}

// drop removes a line from the log.
func (s *State) drop(more bool) Edit {
	if !more {
		s.endLine()
	} else if s.mode != dropping {
		s.saved.stale = true
		s.mode, s.head = dropping, nil
	}
	return Edit{Drop: true}
}

// endLine makes the next piece the first one of a line.
func (s *State) endLine() {
	if s.mode != fresh {
		s.saved.stale = true
		s.mode, s.head = fresh, nil
	}
	s.after = nil
}

// Finish says that the log is over. It returns the variables, in the order in which they were first named, and lines to
// add to the log: those of blocks that were not closed, and what has not been told of outcome files.
func (s *State) Finish() ([]Variable, [][]byte) {
	s.endBlocks()
	s.endFile()
	var lines [][]byte
	for _, b := range s.ended {
		lines = append(lines, unclosedLine(b))
		lines = append(lines, b.split()...)
	}
	lines = append(lines, s.file.tell()...)
	return s.values(), lines
}
