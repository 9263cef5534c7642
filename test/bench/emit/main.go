// Emit prints lines of 100 bytes at a steady rate, each with one write(2), and each beginning with the time of that
// write in nanoseconds since the Unix epoch.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	rate := flag.Int("rate", 1000, "lines a `second`")
	lines := flag.Int("lines", 1000, "how many `lines`")
	flag.Parse()
	if err := emit(*rate, *lines); err != nil {
		fmt.Fprintln(os.Stderr, "emit:", err)
		os.Exit(1)
	}
}

func emit(rate, lines int) error {
	const lineBytes = 100
	begun := time.Now()
	line := make([]byte, 0, lineBytes)
	for i := range lines {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		line = append(strconv.AppendInt(line[:0], time.Now().UnixNano(), 10), ' ')
		line = append(append(line, bytes.Repeat([]byte("."), lineBytes-1-len(line))...), '\n')
		if _, err := os.Stdout.Write(line); err != nil {
			return err
		}
	}
	return nil
}
