package format

import (
	"strings"
	"time"
)

// Layout is how a time is written: a reference time as package time has it, "2006-01-02 15:04:05.000". Times are in
// UTC.
type Layout struct {
	text string
	// step is the length of time in which all times are written alike.
	step time.Duration
}

// NewLayout checks a layout. An error is a *Problem.
func NewLayout(text string) (Layout, error) {
	if strings.Contains(text, "\n") {
		return Layout{}, &Problem{"Line end in a time", `A time stands in a line. Remove "\n" from the layout.`}
	}
	// Two times that differ in every element of a layout.
	a := time.Date(2001, 1, 1, 1, 1, 1, 0, time.UTC)
	b := time.Date(2012, 12, 13, 14, 15, 16, 123456789, time.UTC)
	if a.Format(text) == b.Format(text) {
		return Layout{}, &Problem{
			"No time in a layout",
			"The layout is the reference time 2006-01-02 15:04:05 in the form that is wanted, such as \"15:04:05.000\". " +
				"This one has no part of it, so every line would show the same text.",
		}
	}
	step := time.Second
	if a.Format(text) != a.Add(123456789).Format(text) {
		step = time.Nanosecond
	}
	return Layout{text: text, step: step}, nil
}

// same returns a number that two times share only when they are written alike.
func (l Layout) same(t time.Time) int64 {
	if l.step == time.Second {
		return t.Unix()
	}
	return t.UnixNano()
}
