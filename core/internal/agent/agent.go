// Package agent is the way from core to the steps of a job in a pod. Serve is the helper's end: it hands each step what it
// is to run, over a socket that only this step sees, lets the steps run one after the other, and serves what they write.
// Client is core's end: it connects, again and again if it must, and goes on where it was.
//
// The helper knows of steps what their spools and their sockets tell. A step whose socket closes has ended; how, its exit
// record says, or nothing does. Neither end concludes anything from the end of the connection between them.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
)

// Names of files in the folder of inputs.
const (
	certificateFile = "agent.crt"
	keyFile         = "agent.key"
)

// ScriptFile is the name of the file with the commands of a step, VariablesFile that with its variables; both are JSON
// arrays of strings, the latter "KEY=VALUE". The latter may be missing.
func ScriptFile(step string) string    { return "script-" + step }
func VariablesFile(step string) string { return "env-" + step } //nolint:revive // see ScriptFile

const (
	// window bounds what is on its way on a connection, in bytes: enough for a network with a round trip of some
	// milliseconds, and little for a core with a thousand jobs.
	window = 256 << 10
	// maxMessage bounds a message: a batch with its columns, and room.
	maxMessage = 128 << 10
	// maxCalls bounds the calls of a connection: core has one Tail a step, a Status, and an Ack or a Cancel.
	maxCalls = 64
	// pingInterval and pingTimeout find out that a connection is dead on which nothing comes.
	pingInterval = 10 * time.Second
	pingTimeout  = 5 * time.Second
	// stopTime is what calls have to end when the helper does.
	stopTime = 500 * time.Millisecond
)

// Config says what Serve serves.
type Config struct {
	// Listen is the address, host:port.
	Listen string
	// Inputs is the folder with the keys and what the steps run, Steps that with a folder for each step, which is what the
	// step itself and nobody else sees.
	Inputs, Steps string
	// Names are the steps in the order in which they run.
	Names []string
	// Lifetime bounds the time that the steps run, all together; 0 means no bound. Grace is what a step has between TERM
	// and KILL when it is over.
	Lifetime, Grace time.Duration
	// Keep is how many bytes of a step's output stay after core has said that it needs them no longer, for a core that takes
	// the job over and reads it from its beginning. It is less than the bound of the step's spool, or the step waits for ever.
	Keep int64
	// Log takes what the helper says of the steps; never their output.
	Log *log.Logger
}

// Serve serves until ctx ends, which says that the cluster ends the pod: then the job is ended, and Serve returns when the
// steps are over and core has all that they wrote, and knows how they ended. It returns an error when it can't serve at all.
func Serve(ctx context.Context, c Config) error {
	keys, err := readKeys(c.Inputs)
	if err != nil {
		return err
	}
	tls, err := keys.tls()
	if err != nil {
		return err
	}
	job, err := newJob(c)
	if err != nil {
		return err
	}
	defer job.close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for core: %w", err)
	}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(tls)), grpc.ConnectionTimeout(connectTime), grpc.MaxConcurrentStreams(maxCalls),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window), grpc.MaxRecvMsgSize(maxMessage),
		grpc.ReadBufferSize(bufferBytes), grpc.WriteBufferSize(bufferBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingInterval, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingInterval / 2, PermitWithoutStream: true}),
	)
	defer server.Stop()
	agentv1.RegisterAgentServer(server, &service{job: job})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	c.Log.Printf("serving on %s", listener.Addr())
	job.start()
	select {
	case err := <-failed:
		return fmt.Errorf("serve core: %w", err)
	case <-ctx.Done():
	}
	job.end(Ending{Why: Terminated, At: time.Now()}, c.Grace)
	c.Log.Print("told to end; waiting for the steps, and for core to fetch what they wrote")
	job.awaitFetched()
	kill := time.AfterFunc(stopTime, server.Stop)
	defer kill.Stop()
	job.close() // ends the calls
	server.GracefulStop()
	if err := <-failed; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve core: %w", err)
	}
	return nil
}

func readKeys(dir string) (Keys, error) {
	var k Keys
	var err, keyErr error
	k.Certificate, err = os.ReadFile(filepath.Join(dir, certificateFile))
	k.Private, keyErr = os.ReadFile(filepath.Join(dir, keyFile))
	if err := errors.Join(err, keyErr); err != nil {
		return k, fmt.Errorf("read the key pair of the job: %w", err)
	}
	return k, nil
}
