// Package measure has what the benchmarks print: series of measurements, and tables of them.
package measure

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// Series is the measurements of one thing.
type Series []float64

// Min returns the least of them.
func (s Series) Min() float64 { return slices.Min(s) }

// Max returns the greatest of them.
func (s Series) Max() float64 { return slices.Max(s) }

// Median returns the middle one, or what is half way between the two in the middle.
func (s Series) Median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Number writes three digits, and all of those before the point.
func Number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// Table is what has been measured.
type Table struct {
	rows []string
	// load is the machine's load when the run began, as the kernel says it; empty where there is no such file.
	load string
}

// NewTable returns a table whose rows have these columns after the first, which says what was measured.
func NewTable(columns ...string) *Table {
	load, _ := os.ReadFile("/proc/loadavg") // for information, where there is one
	t := &Table{load: strings.TrimSpace(string(load))}
	t.Row("", columns...)
	return t
}

// Row adds a row.
func (t *Table) Row(what string, cells ...string) {
	t.rows = append(t.rows, what+"\t"+strings.Join(cells, "\t")+"\t\n")
}

// Print writes the table, below a line that says what it is about and which machine it is of.
func (t *Table) Print(out io.Writer, about string) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s; %d CPUs, %s", about, runtime.NumCPU(), runtime.Version())
	if t.load != "" {
		fmt.Fprintf(&text, "; load before: %s", t.load)
	}
	text.WriteString("\n\n")
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	if _, err := io.WriteString(tw, strings.Join(t.rows, "")); err != nil {
		return err
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}
