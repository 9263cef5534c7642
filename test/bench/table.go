package main

import (
	"fmt"
	"io"

	"github.com/podrunner/runner/test/bench/internal/measure"
)

// table is what has been measured.
type table struct{ *measure.Table }

func newTable() *table { return &table{measure.NewTable("best", "median", "unit")} }

// add adds a row. best is the best of the measurements.
func (t *table) add(what, unit string, best, median float64) {
	t.Row(what, measure.Number(best), measure.Number(median), unit)
}

// count adds a row for what has been counted, which does not depend on the machine's mood.
func (t *table) count(what, unit string, n float64) { t.Row(what, "", measure.Number(n), unit) }

func (t *table) print(out io.Writer, w *workload) error {
	return t.Print(out, fmt.Sprintf("%d lines of %d bytes, %d secrets", w.lines, lineBytes, secretCount))
}
