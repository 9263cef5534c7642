package cmd

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

// addJSONFlag gives a command the flag --json.
func addJSONFlag(c *cobra.Command, dst *bool) {
	c.Flags().BoolVar(dst, "json", false, "print JSON for programs")
}

// writeJSON prints v for programs, indented for people who look all the same.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
