package entrypoint

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	// socketTime is what a helper that is just being started has to make the socket of a step.
	socketTime = 30 * time.Second
	// socketInterval is how often a step looks for it where the events of its directory can't be had: the limit of inotify
	// instances is one for all pods of a user on a node.
	socketInterval = 100 * time.Millisecond
)

// codeTold is the exit code of an entrypoint that was told to end before it was its turn.
const codeTold = 128 + int(unix.SIGTERM)

// errTold says that the step was told to end before it was its turn.
var errTold = errors.New("told to end")

// receive returns what the step runs, and its lifeline if it has one.
func receive(c Config, signals <-chan os.Signal) (Input, io.Reader, error) {
	if c.Control != "" {
		return receiveControl(c.Control, signals)
	}
	commands, err := readScript(c.Script)
	if !c.Lifeline {
		return Input{Commands: commands}, nil, err
	}
	return Input{Commands: commands}, os.Stdin, err
}

// receiveControl waits for the helper's word that it is the step's turn.
func receiveControl(path string, signals <-chan os.Signal) (Input, io.Reader, error) {
	type received struct {
		input Input
		from  io.Reader
		err   error
	}
	done := make(chan received, 1)
	go func() {
		input, from, err := readControl(path)
		done <- received{input, from, err}
	}()
	for {
		select {
		case r := <-done:
			return r.input, r.from, r.err
		case sig := <-signals:
			if sig == unix.SIGTERM || sig == unix.SIGINT {
				return Input{}, nil, errTold
			}
		}
	}
}

func readControl(path string) (Input, io.Reader, error) {
	conn, err := connectControl(path)
	if err != nil {
		return Input{}, nil, fmt.Errorf("connect to the helper: %w", err)
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return Input{}, nil, fmt.Errorf("the helper has ended before it was the step's turn: %w", err)
	}
	var input Input
	if err := json.Unmarshal(line, &input); err != nil {
		return Input{}, nil, errors.New("what the helper says can't be read; it must be of the same version") // the cause may quote it
	}
	for i, command := range input.Commands {
		if strings.ContainsRune(command, 0) {
			return Input{}, nil, fmt.Errorf("command %d has a NUL byte, which no shell takes", i+1)
		}
	}
	return input, r, nil
}

// connectControl connects as soon as there is a socket: the container of the helper is started first, but its program
// may not have come so far.
func connectControl(path string) (net.Conn, error) {
	var events <-chan fsnotify.Event
	var again <-chan time.Time
	watch, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = watch.Close() }()
		events, err = watch.Events, watch.Add(filepath.Dir(path))
	}
	if err != nil {
		tick := time.NewTicker(socketInterval)
		defer tick.Stop()
		again = tick.C
	}
	deadline := time.NewTimer(socketTime)
	defer deadline.Stop()
	for {
		conn, err := net.Dial("unix", path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return conn, err
		}
		select {
		case <-events:
		case <-again:
		case <-deadline.C:
			return nil, err
		}
	}
}

// setPath has the shell looked for where the step's own PATH says.
func setPath(env []string) error {
	for _, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			return os.Setenv("PATH", path)
		}
	}
	return nil
}
