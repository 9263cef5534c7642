package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/podrunner/runner/sdk/protocol"
)

// Serve is the main function of a plugin program: it serves p to core, and ends the process when core is done with it
// or gone. It does not return.
//
// Started by a person instead, it says what the program is; `describe` prints the same as JSON, and `--debug` serves
// p to a core that was not its parent.
func Serve(p Plugin) {
	os.Exit(run(p, os.Args[1:], os.Stdout, os.Stderr))
}

// run is Serve without the end of the process; it returns the exit code.
func run(p Plugin, args []string, stdout, stderr io.Writer) int {
	logger := newLogger(p.Name, stderr)
	s, err := newServer(p, logger)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "This plugin is broken, please tell its author: %v\n", err)
		return 1
	}
	if len(args) == 0 && os.Getenv(protocol.Handshake.MagicCookieKey) == protocol.Handshake.MagicCookieValue {
		return serveCore(s)
	}
	command := ""
	if len(args) > 0 {
		for _, c := range p.Commands {
			if c.Name == args[0] {
				return s.runCommand(c, args[1:], stdout, stderr)
			}
		}
	}
	if len(args) == 1 {
		command = args[0]
	}
	switch command {
	case "describe":
		err = writeDescription(stdout, s.describe())
	case "--debug", "-debug":
		err = serveDebug(s, stdout)
	case "--help", "-help", "-h", "help":
		err = writeHelp(stdout, s.describe(), p.Commands)
	default:
		_ = writeHelp(stderr, s.describe(), p.Commands)
		return 1
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

// newLogger makes the plugin's logger: JSON for core, which has set the level, and text for people.
func newLogger(name string, out io.Writer) hclog.Logger {
	level, underCore := os.LookupEnv(protocol.EnvLogLevel)
	logger := hclog.New(&hclog.LoggerOptions{
		Name:       name,
		Level:      cmp.Or(hclog.LevelFromString(level), hclog.Info),
		Output:     out,
		JSONFormat: underCore,
	})
	hclog.SetDefault(logger)
	return logger
}

// gcPercent is the default of GOGC. A processor mostly keeps little, and what it makes of each batch is garbage at once;
// to collect that less often costs a few megabytes and saves a tenth of the CPU time.
const gcPercent = 400

// serveCore serves the parent process until it says that it is done, or is gone.
func serveCore(s *server) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if s.source == nil {
		s.opened = newProcs().add
	}
	stderr := os.Stderr
	s.started = func() {
		// go-plugin puts pipes in place of both when it has printed the handshake, and carries what is written there
		// over gRPC to a place where few hosts look. Written on standard error it is part of the log.
		os.Stdout, os.Stderr = stderr, stderr
	}
	lifeline := os.Getenv(protocol.EnvLifeline) == "stdin"
	if lifeline {
		ignoreSignals(s.logger)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  protocol.Handshake,
		VersionedPlugins: protocol.Set(s.register),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			server := s.newGRPC(options)
			if lifeline {
				go followLifeline(os.Stdin, server)
			}
			return server
		},
		Logger: s.logger,
	})
	return 0
}

// followLifeline stops the server when core is gone. Serving then ends, which removes the socket and ends the process.
func followLifeline(lifeline io.Reader, server *grpc.Server) {
	_, _ = io.Copy(io.Discard, lifeline)
	server.Stop()
}

// ignoreSignals leaves the end of the process to core, which is what the lifeline is for. A terminal or a container
// sends its signals to all processes; the running jobs of a core that drains need their processors until their end.
func ignoreSignals(logger hclog.Logger) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for sig := range signals {
			logger.Debug("signal left to core", "signal", sig.String())
		}
	}()
}

// serveDebug serves whatever core is told of the process, one after the other, until the process is interrupted.
func serveDebug(s *server, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return serveReattach(ctx, s, stdout)
}

// serveReattach is serveDebug until ctx ends.
func serveReattach(ctx context.Context, s *server, stdout io.Writer) error {
	s.reconfigurable = true
	reattach, done := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
	server := make(chan *grpc.Server, 1)
	go plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  protocol.Handshake,
		VersionedPlugins: protocol.Set(s.register),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			made := s.newGRPC(options)
			server <- made
			return made
		},
		Logger: s.logger,
		Test:   &plugin.ServeTestConfig{ReattachConfigCh: reattach, CloseCh: done},
	})
	select {
	case config := <-reattach:
		if err := writeReattach(stdout, s.plugin.Name, config); err != nil {
			return err
		}
	case <-done:
		return errors.New("the plugin did not start; its log says why")
	}
	// A context of go-plugin's own would close the listener under the server, which then logs that as an error.
	defer context.AfterFunc(ctx, (<-server).Stop)()
	<-done
	return nil
}
