package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strconv"
	"strings"
	"syscall"

	"github.com/podrunner/runner/sdk/protocol"
)

// Command is a subcommand of a plugin's program, beside `describe`: `runner-source-faktory enqueue -f job.yaml`.
type Command struct {
	// Name is one word.
	Name string
	// Description is one sentence, for the program's help.
	Description string
	// Run does it, and returns the exit code: 0, 2 when somebody has to mend what the command was given, any other when
	// it failed. ctx ends with SIGINT or SIGTERM.
	Run func(ctx context.Context, call CommandCall) int
}

// CommandCall is one call of a Command.
type CommandCall struct {
	// Args are those after the command's name.
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	server *server
	config []byte
}

// Config decodes the plugin's configuration into config, a pointer to the configuration's struct: the one that core has
// for the plugin when core has started the program, else an empty one. What is wrong with it, by its tags or its
// [Validator], comes back as an error for people. A [Configurer] is not called.
func (c CommandCall) Config(config any) error { return c.server.commandConfig(c.config, config) }

// runCommand runs a subcommand until it ends or is interrupted; it returns the exit code.
func (s *server) runCommand(c Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := inheritedConfig()
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", s.plugin.Name, err)
		return 1
	}
	return c.Run(ctx, CommandCall{Args: args, Stdin: os.Stdin, Stdout: stdout, Stderr: stderr, server: s, config: config})
}

// maxConfigBytes bounds a configuration that comes through a pipe, as it is bounded in a message.
const maxConfigBytes = protocol.MaxMessageBytes

// inheritedConfig reads the configuration that core hands to a subcommand: on a descriptor, since the environment and the
// arguments of a process can be seen by others.
func inheritedConfig() ([]byte, error) {
	number := os.Getenv(protocol.EnvConfigFD)
	if number == "" {
		return []byte("{}"), nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s is not the number of a descriptor", protocol.EnvConfigFD)
	}
	file := os.NewFile(uintptr(fd), "configuration")
	defer file.Close() //nolint:errcheck // it was only read
	config, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration that core hands over: %w", err)
	}
	if len(config) > maxConfigBytes {
		return nil, fmt.Errorf("the configuration that core hands over has more than %d MiB", maxConfigBytes>>20)
	}
	return config, nil
}

// commandConfig decodes a configuration into dst.
func (s *server) commandConfig(config []byte, dst any) error {
	value, d := s.decode(config)
	if d.HasErrors() {
		var texts []string
		for _, x := range d.list {
			texts = append(texts, x.GetSummary()+": "+x.GetDetail())
		}
		return errors.New(strings.Join(texts, "\n"))
	}
	reflect.ValueOf(dst).Elem().Set(value.Elem())
	return nil
}
