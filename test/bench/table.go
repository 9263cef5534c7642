package main

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

// series is the measurements of one thing.
type series []float64

func (s series) min() float64 { return slices.Min(s) }
func (s series) max() float64 { return slices.Max(s) }

func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// table is what has been measured.
type table struct {
	rows []string
	// load is the machine's load when the run began, as the kernel says it; empty where there is no such file.
	load string
}

func newTable() *table {
	load, _ := os.ReadFile("/proc/loadavg") // for information, where there is one
	return &table{load: strings.TrimSpace(string(load))}
}

// add adds a row. best is the best of the measurements.
func (t *table) add(what, unit string, best, median float64) {
	t.rows = append(t.rows, fmt.Sprintf("%s\t%s\t%s\t%s\t\n", what, number(best), number(median), unit))
}

// count adds a row for what has been counted, which does not depend on the machine's mood.
func (t *table) count(what, unit string, n float64) {
	t.rows = append(t.rows, fmt.Sprintf("%s\t\t%s\t%s\t\n", what, number(n), unit))
}

// number writes three digits, and all of those before the point.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

func (t *table) print(out io.Writer, w *workload) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%d lines of %d bytes, %d secrets; %d CPUs, %s", w.lines, lineBytes, secretCount, runtime.NumCPU(), runtime.Version())
	if t.load != "" {
		fmt.Fprintf(&text, "; load before: %s", t.load)
	}
	text.WriteString("\n\n")
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	if _, err := io.WriteString(tw, "\tbest\tmedian\tunit\t\n"+strings.Join(t.rows, "")); err != nil {
		return err
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}
