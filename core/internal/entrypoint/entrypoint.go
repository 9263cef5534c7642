// Package entrypoint runs one step of a job: it starts the shell, keeps its output in a spool, passes signals on, and sees to
// it that nothing of the step is left when it is over. It is what the helper does as process 1 of a step's container, and
// as a child process of the local executor.
//
// The step is over when the shell has ended. What it has left running gets drainTime to finish what it prints, if it holds
// the step's output open; then TERM, and KILL after at most leftoverGrace. All that was printed by then is in the spool.
package entrypoint

import (
	"time"
)

// Config says what to run and how.
type Config struct {
	// Script is a file with the step's commands, a JSON array of strings. Control is the socket of a helper from which they
	// come instead, with the step's variables; see Input. The step waits for them; then the socket is its lifeline.
	Script, Control string
	// Shell runs them: a path, or a name to look for on PATH.
	Shell string
	// XTrace has the shell print what it does ("set -xv").
	XTrace bool
	// Workdir is made and is where the shell starts.
	Workdir string
	// Spool is the directory for the output, SpoolBytes its bound; 0 means the spool's default.
	Spool      string
	SpoolBytes int64
	// Shared lets other users read and release the spool.
	Shared bool
	// Outcome is a path for the file that OutcomeVariable names; it must not exist, and its directory is made. What the
	// commands have written to it by the end of the step follows their output in the spool, as records of a kind of their
	// own. Empty: there is none.
	Outcome string
	// Grace is the time between TERM and KILL when the step is told to end by TERM.
	Grace time.Duration
	// Lifeline has the step read its standard input. "cancel DURATION" on a line ends the step as TERM does, with that
	// grace. The end of the input says that whoever wanted the step is gone: the step is ended, its output dropped, and
	// Remove, a directory, removed. The shell's own standard input is empty in any case.
	Lifeline bool
	Remove   string
	// Root is a file with a jobroot.Spec, which is entered first; empty for none. Spool, Outcome and Workdir are paths
	// in it, the others are not.
	Root string
}

// Exit codes of the entrypoint beside those of the command.
const (
	// CodeBroken: the step could not be set up, or its output not be kept.
	CodeBroken = 125
	// CodeNotExecutable and CodeNotFound: the shell could not be started. They are the shells' own codes for that.
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

const (
	// drainTime is what processes that outlive the shell have to finish printing.
	drainTime = 500 * time.Millisecond
	// leftoverGrace bounds the time between TERM and KILL for them; the step's own grace may be shorter.
	leftoverGrace = 2 * time.Second
	// killTime is how long killed processes may take to go. The kernel may hold one for ever in a broken file system.
	killTime = 5 * time.Second
)
