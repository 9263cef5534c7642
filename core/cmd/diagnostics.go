package cmd

import (
	"io"
	"os"

	"golang.org/x/term"

	"github.com/podrunner/runner/core/internal/diag"
)

// printDiagnostics prints diagnostics for people on standard error, each in one write and so redacted as a whole.
func (a *app) printDiagnostics(d diag.Diagnostics) error {
	return diag.WriteText(a.redact.Writer(a.err), d, styleOf(a.err))
}

// fail prints diagnostics and returns the error that ends the command when there are errors among them: exit code 2.
func (a *app) fail(d diag.Diagnostics) error {
	if err := a.printDiagnostics(d); err != nil {
		return err
	}
	if d.HasErrors() {
		return silent(exitUsage)
	}
	return nil
}

// styleOf fits diagnostics to a writer: colours and width for a terminal, neither for anything else.
func styleOf(w io.Writer) diag.Style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return diag.Style{}
	}
	style := diag.Style{Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		style.Width = width
	}
	return style
}
