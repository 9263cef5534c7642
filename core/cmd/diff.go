package cmd

import (
	"fmt"
	"strings"
)

// diffContext is the number of unchanged lines around a change in a unified diff.
const diffContext = 3

// unifiedDiff returns the changes from before to after, as diff -u prints them. Formatting changes spaces inside lines
// and never the number of lines, so line i became line i; were it otherwise, the whole text would count as changed.
func unifiedDiff(name string, before, after []byte) string {
	old, now := splitLines(string(before)), splitLines(string(after))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", name, name)
	if len(old) != len(now) {
		writeHunk(&b, old, now, 0)
		return b.String()
	}
	for start := 0; start < len(old); {
		first := start
		for first < len(old) && old[first] == now[first] {
			first++
		}
		if first == len(old) {
			break
		}
		// The hunk goes on until more than twice the context is unchanged.
		last := first
		for i := first; i < len(old) && i-last <= 2*diffContext; i++ {
			if old[i] != now[i] {
				last = i
			}
		}
		from, to := max(start, first-diffContext), min(len(old), last+1+diffContext)
		writeHunk(&b, old[from:to], now[from:to], from)
		start = to
	}
	return b.String()
}

// writeHunk prints one hunk; from is the number of lines before it.
func writeHunk(b *strings.Builder, old, now []string, from int) {
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", from+1, len(old), from+1, len(now))
	if len(old) != len(now) {
		writeLines(b, "-", old)
		writeLines(b, "+", now)
		return
	}
	for i := 0; i < len(old); {
		if old[i] == now[i] {
			writeLines(b, " ", old[i:i+1])
			i++
			continue
		}
		end := i
		for end < len(old) && old[end] != now[end] {
			end++
		}
		writeLines(b, "-", old[i:end])
		writeLines(b, "+", now[i:end])
		i = end
	}
}

func writeLines(b *strings.Builder, sign string, lines []string) {
	for _, line := range lines {
		b.WriteString(sign + line)
		if !strings.HasSuffix(line, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// splitLines splits a text after its line ends.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
