package entrypoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxArgBytes is the longest single argument that Linux takes (MAX_ARG_STRLEN less the NUL).
const maxArgBytes = 128<<10 - 1

// scriptFD is the descriptor on which bash finds a long script.
const scriptFD = 3

// WriteScript writes a step's commands to a file that only its owner can read.
func WriteScript(path string, commands []string) error {
	data, err := json.Marshal(commands)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	return nil
}

func readScript(path string) ([]string, error) {
	var commands []string
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &commands)
	}
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	for i, c := range commands {
		if strings.ContainsRune(c, 0) {
			return nil, fmt.Errorf("read script: command %d has a NUL byte, which no shell takes", i+1)
		}
	}
	return commands, nil
}

// invocation is how a shell is started on a script.
type invocation struct {
	args []string
	// file is what the shell finds on scriptFD; empty for none.
	file string
}

// invoke returns how the shell runs the commands, joined by newlines: nothing of them is quoted or changed, and a here-document
// or a trailing "&" is no syntax error. The first line sets the trace, so that the lines have the same numbers whether
// there is one or not.
func invoke(shell string, commands []string, xtrace bool) invocation {
	set, body := "set +xv", strings.Join(commands, "\n")
	if xtrace {
		set = "set -xv"
	}
	if script := set + "\n" + body; len(script) <= maxArgBytes {
		return invocation{args: []string{shell, "-e", "-c", script}}
	}
	return invokeLong(shell, set, body)
}

// invokeLong is invoke for a script that does not fit an argument. No way suits all shells: "eval" puts its name into the
// error messages of dash, and a second "+" before each line that bash traces.
//
// dash, ash and others: the script comes in pieces, as positional parameters. They become an alias, and using the alias on
// the second line puts the script there, where it stands in a short one, and the positional parameters are gone. All
// is as with a short script; only "alias" lists one more.
//
// bash echoes no line of an alias, so it starts anew with the script on scriptFD. It prints the same, except that at the
// start of its error messages it names that file and not the shell, and that "$-" has no c. "$0" is set right by
// bash 5; older ones show the file.
func invokeLong(shell, set, body string) invocation {
	const alias = "runner_script"
	var pieces []string
	for rest := body; rest != ""; {
		n := min(len(rest), maxArgBytes)
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	var joined strings.Builder
	for i := range pieces {
		fmt.Fprintf(&joined, "${%d}", i+1)
	}
	closeFD := "exec " + strconv.Itoa(scriptFD) + "<&-;"
	start := `[ -z "${BASH_VERSION-}" ] || exec "$0" -e /dev/fd/` + strconv.Itoa(scriptFD) + ";" +
		closeFD +
		`alias ` + alias + `="unalias ` + alias + `;` + set + `; ` + joined.String() + `";` +
		"set --\n" +
		alias
	return invocation{
		args: append([]string{shell, "-e", "-c", start, shell}, pieces...),
		file: "BASH_ARGV0=" + quote(shell) + ";" + closeFD + set + "\n" + body,
	}
}

// quote returns s as one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// errTooLong says what to do about E2BIG.
var errTooLong = errors.New("the commands and variables together are longer than the kernel takes for a new process;" +
	" put long ones into files of the job")
