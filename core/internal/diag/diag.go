// Package diag has diagnostics: what a person has to know or to mend about a file that they wrote, with the place in
// it. It prints them, and knows nothing of what the files mean.
package diag

import (
	"cmp"
	"slices"
)

// Severity tells whether a diagnostic stands in the way.
type Severity int

// The severities.
const (
	Error Severity = iota
	Warning
)

// Diagnostic is one thing to know or to mend.
type Diagnostic struct {
	Severity Severity
	// Summary is a short noun phrase with no full stop: "Unknown block".
	Summary string
	// Detail is whole sentences that say how to mend it. It holds no sensitive value.
	Detail string
	// Range is the place; the zero Range is none.
	Range Range
}

// Diagnostics is any number of them.
type Diagnostics []Diagnostic

// HasErrors reports whether one of them is an error.
func (d Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d, func(x Diagnostic) bool { return x.Severity == Error })
}

// Count returns the number of diagnostics of a severity.
func (d Diagnostics) Count(severity Severity) int {
	n := 0
	for _, x := range d {
		if x.Severity == severity {
			n++
		}
	}
	return n
}

// Sorted returns them in the order of their places, those with no place first, and each only once. Diagnostics of one
// place keep their order.
func (d Diagnostics) Sorted() Diagnostics {
	out := slices.Clone(d)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Range.Filename(), b.Range.Filename()),
			cmp.Compare(a.Range.Start.Line, b.Range.Start.Line),
			cmp.Compare(a.Range.Start.Column, b.Range.Start.Column),
		)
	})
	return slices.Compact(out)
}
