package pluginhost

import (
	"errors"
	"strings"
)

// Reason is a word for what is wrong with a plugin, for programs and for tests.
type Reason string

// What the user mends: the configuration, or the file that it names.
const (
	NotFound      Reason = "not_found"
	NotExecutable Reason = "not_executable"
	BadChecksum   Reason = "bad_checksum"
	BadPlatform   Reason = "bad_platform"
	NotAPlugin    Reason = "not_a_plugin"
	WrongProtocol Reason = "wrong_protocol"
	WrongKind     Reason = "wrong_kind"
	BadSettings   Reason = "bad_settings"
)

// What the plugin, or the machine, has done wrong.
const (
	StartFailed   Reason = "start_failed"    // the system could not start it
	ExitedAtStart Reason = "exited_at_start" // it ended before it was ready
	HungAtStart   Reason = "hung_at_start"   // it was not ready in time
	Ended         Reason = "ended"           // it ended, or was killed, when it should not have
	Hangs         Reason = "hangs"           // it does not answer
	Misbehaves    Reason = "misbehaves"      // it answered what the protocol does not allow, or with an error
	CircuitOpen   Reason = "circuit_open"    // it kept ending and is not started again for now
	Closed        Reason = "closed"          // the host is closing, or has stopped it on purpose
)

// Error is what is wrong with one plugin. All errors of this package about a plugin are, or wrap, one.
type Error struct {
	// Plugin is the plugin as people know it, such as `processor "sanitize"`.
	Plugin string
	Reason Reason
	// Detail says on one line what happened: "exited with code 3 before it was ready".
	Detail string
	// Advice says what to do next. It may be empty, and it may have several lines.
	Advice string
	// Output is the end of what the plugin wrote to its standard error, or the beginning of its crash report; at most
	// 64 KiB, and empty for an error that does not come from a process that has ended.
	Output string
	// Err is the cause, if there is one apart from Detail.
	Err error
}

// outputLines is how much of Output stands in the text of an error.
const outputLines = 15

// Error returns all of it as text: one line, then what the plugin wrote last, then what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Summary())
	if e.Output != "" {
		b.WriteString("\nIts last output:\n")
		b.WriteString(indent(excerpt(e.Output, outputLines)))
	}
	if e.Advice != "" {
		b.WriteString("\n")
		b.WriteString(e.Advice)
	}
	return b.String()
}

// Summary returns the error on one line, for log lines.
func (e *Error) Summary() string {
	text := e.Plugin + " " + e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Configuration reports whether the user mends this in the configuration or in the file that it names (exit code 2),
// and not in the plugin or the machine (exit code 3).
func (e *Error) Configuration() bool {
	switch e.Reason {
	case NotFound, NotExecutable, BadChecksum, BadPlatform, NotAPlugin, WrongProtocol, WrongKind, BadSettings:
		return true
	default:
		return false
	}
}

// IsConfiguration reports whether err is an Error of the configuration.
func IsConfiguration(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Configuration()
}

// excerpt returns what matters most of an output: the beginning of a crash report, else the end.
func excerpt(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range all {
		all[i] = shorten(all[i], 500)
	}
	if len(all) <= lines {
		return strings.Join(all, "\n")
	}
	if beginsCrash([]byte(all[0])) {
		return strings.Join(append(all[:lines:lines], "…"), "\n")
	}
	return strings.Join(append([]string{"…"}, all[len(all)-lines:]...), "\n")
}

// shorten cuts a line that is too long to be read.
func shorten(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	return strings.ToValidUTF8(line[:limit], "") + "…"
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// what returns the summary without the name of the plugin.
func (e *Error) what() string { return strings.TrimPrefix(e.Summary(), e.Plugin+" ") }
