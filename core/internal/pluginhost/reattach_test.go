package pluginhost_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/podrunner/runner/core/internal/pluginhost"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// inDebugger is a plugin that runs in the test's own process, as one in a debugger runs in another.
type inDebugger struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedProcessorServer
	goodbyes chan string
}

func (inDebugger) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return &pluginv1.DescribeResponse{
		Name: "mine", Services: []string{pluginv1.Processor_ServiceDesc.ServiceName}, Processor: &pluginv1.ProcessorTraits{},
	}, nil
}

func (d inDebugger) Shutdown(context.Context, *pluginv1.ShutdownRequest) (*pluginv1.ShutdownResponse, error) {
	d.goodbyes <- "shutdown"
	return &pluginv1.ShutdownResponse{}, nil
}

// serve serves it until ctx ends, and returns the variable for core and a channel that closes at its end.
func (d inDebugger) serve(ctx context.Context, t *testing.T) (string, <-chan struct{}) {
	t.Helper()
	t.Setenv("PLUGIN_UNIX_SOCKET_DIR", "")
	configs, closed := make(chan *plugin.ReattachConfig), make(chan struct{})
	go plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: protocol.Handshake,
		VersionedPlugins: protocol.Set(func(s *grpc.Server) {
			pluginv1.RegisterPluginServer(s, d)
			pluginv1.RegisterProcessorServer(s, d)
		}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, protocol.ServerOptions()...)...)
		},
		Logger: hclog.NewNullLogger(),
		Test:   &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: configs, CloseCh: closed},
	})
	config := <-configs
	text, err := json.Marshal(map[string]any{"mine": map[string]any{
		"Protocol": config.Protocol, "ProtocolVersion": config.ProtocolVersion, "Pid": config.Pid, "Test": config.Test,
		"Addr": map[string]string{"Network": config.Addr.Network(), "String": config.Addr.String()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return protocol.EnvReattach + "=" + string(text), closed
}

func TestReattach(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := inDebugger{goodbyes: make(chan string, 1)}
	variable, served := d.serve(ctx, t)

	// The host takes it, and lets go of it without ending it.
	h := newHost(t, pluginhost.Options{Environ: []string{variable}})
	p, err := h.Launch(t.Context(), pluginhost.Processor, "mine")
	if err != nil {
		t.Fatal(err)
	}
	if from := p.Found().From; from != protocol.EnvReattach {
		t.Errorf("it comes from %s", from)
	}
	// There is a process, and no program that could be called.
	_, err = p.RunCommand(t.Context(), pluginhost.Command{Args: []string{"enqueue"}})
	wantReason(t, err, pluginhost.BadSettings)
	if _, err := p.Configure(t.Context(), nil); err != nil { // it has no Configure: core does without
		t.Error(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case word := <-d.goodbyes:
		t.Errorf("the host said %s to a plugin that is not its own", word)
	case <-served:
		t.Error("the host ended a plugin that is not its own")
	default:
	}

	// The host sees it end, and does not start it.
	h = newHost(t, pluginhost.Options{Environ: []string{variable}})
	if p, err = h.Launch(t.Context(), pluginhost.Processor, "mine"); err != nil {
		t.Fatal(err)
	}
	c := connect(t, p)
	cancel()
	<-served
	await(t, c)
	wantReason(t, c.Err(), pluginhost.Ended)
	pluginhost.AwaitStopped(p)
	if _, err := p.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "--debug") {
		t.Errorf("error is %v, want one that says what to do", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	// It is not there any more.
	h = newHost(t, pluginhost.Options{Environ: []string{variable}})
	_, err = h.Launch(t.Context(), pluginhost.Processor, "mine")
	wantReason(t, err, pluginhost.StartFailed)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
