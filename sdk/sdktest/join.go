package sdktest

import (
	"slices"

	"github.com/podrunner/runner/sdk"
)

// edited is what a record has become.
type edited struct {
	// Line is the record with its splices.
	Line
	dropped bool
	// inserts are the lines put in after it.
	inserts []Line
}

// origin is where a line comes from. Lines of different origins may come in pieces at the same time.
type origin struct {
	step   string
	stream sdk.Stream
}

// joiner puts the pieces of lines together, by core's rules: a line of which the last piece is dropped ends all the
// same, and what is put in after a piece stands behind the end of its origin's line.
type joiner struct {
	lines []Line
	// open has the index of each origin's line that is not over, waiting what is to stand behind the end of one.
	open    map[origin]int
	waiting []Line
}

func join(records []edited) []Line {
	j := &joiner{open: map[origin]int{}}
	for _, r := range records {
		j.record(r)
		for _, l := range r.inserts {
			j.insert(l)
		}
	}
	return append(j.lines, j.waiting...)
}

func (j *joiner) record(r edited) {
	from := origin{r.Step, r.Stream}
	i, isOpen := j.open[from]
	switch {
	case isOpen && !r.dropped:
		j.lines[i].Text += r.Text
	case !isOpen && !r.dropped:
		i, isOpen = len(j.lines), true
		j.lines = append(j.lines, r.Line)
	}
	if !isOpen {
		return
	}
	j.lines[i].Partial = r.Partial
	if r.Partial {
		j.open[from] = i
		return
	}
	delete(j.open, from)
	j.waiting = slices.DeleteFunc(j.waiting, func(l Line) bool {
		mine := origin{l.Step, l.Stream} == from
		if mine {
			j.lines = append(j.lines, l)
		}
		return mine
	})
}

func (j *joiner) insert(l Line) {
	from := origin{l.Step, l.Stream}
	if _, isOpen := j.open[from]; isOpen {
		j.waiting = append(j.waiting, l)
		return
	}
	j.lines = append(j.lines, l)
}
