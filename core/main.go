// Command core runs jobs; see package cmd.
package main

import (
	"os"

	"github.com/podrunner/runner/core/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
