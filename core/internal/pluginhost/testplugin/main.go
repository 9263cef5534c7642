// Program testplugin is the plugin of core's tests: one program, a good mode, and a mode for each thing that a plugin
// may do wrong. Nothing of it is shipped.
//
// The mode is what follows "runner-processor-" in the name under which it is started; package hosttest makes the links.
// Under a name with "runner-source-" it is a source that has no jobs; the mode "scales" has an opinion on the number of runners.
// It is written without package sdk, so that it can break the rules that sdk keeps.
package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

func main() {
	if os.Getenv(childVariable) != "" {
		time.Sleep(time.Minute) // the grandchild: holds what it has inherited
		return
	}
	if len(os.Args) > 1 {
		os.Exit(command(os.Args[1:]))
	}
	mode, isSource := strings.CutPrefix(filepath.Base(os.Args[0]), "runner-source-")
	mode = strings.TrimPrefix(mode, "runner-processor-")
	if start, ok := startModes[mode]; ok {
		start()
	}
	version := protocol.Version
	if mode == "wrong-version" {
		version++
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  protocol.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{version: protocol.Set(register(mode, isSource))[protocol.Version]},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, protocol.ServerOptions()...)...)
		},
	})
	if mode == "ignore-shutdown" {
		select {} // go-plugin's server is stopped; we are not
	}
}

// register returns the function that registers the mode's services.
func register(mode string, isSource bool) func(*grpc.Server) {
	return func(server *grpc.Server) {
		if mode == "no-service" {
			return
		}
		s := &service{mode: mode, isSource: isSource}
		pluginv1.RegisterPluginServer(server, s)
		if isSource {
			pluginv1.RegisterSourceServer(server, &source{mode: mode})
			return
		}
		pluginv1.RegisterProcessorServer(server, s)
	}
}

// service is both Plugin and Processor.
type service struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedProcessorServer
	mode     string
	isSource bool
	config   config
}

func (s *service) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	switch s.mode {
	case "hang-describe":
		select {}
	case "stdout-fed":
		go feedStdout() // behind the handshake: one with so much before it is none
	}
	out := &pluginv1.DescribeResponse{
		Name: s.mode, Version: "1.2.3", Description: "A plugin for tests.",
		Services: []string{pluginv1.Processor_ServiceDesc.ServiceName},
		Config: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{
			{Name: "prefix", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}, Description: "Put before each line."},
			{Name: "after", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_INT}, Description: "Batches that are treated well before the fault."},
			{Name: "refuse", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_BOOL}, Description: "Answer to Validate and Configure with an error."},
			{Name: "token", Type: &pluginv1.Type{Kind: pluginv1.Kind_KIND_STRING}, Sensitive: true, Description: "Quoted in the error of refuse."},
		}},
		Processor: &pluginv1.ProcessorTraits{Checkpoints: s.mode == "count"},
	}
	if s.mode == "turncoat" { // says another thing in its second process
		marker := os.Args[0] + ".seen"
		_, err := os.Stat(marker)
		out.Processor.NeedsSecrets = err == nil
		_ = os.WriteFile(marker, nil, 0o600)
	}
	if s.isSource {
		out.Services, out.Processor = []string{pluginv1.Source_ServiceDesc.ServiceName}, nil
		out.Source, out.Commands = &pluginv1.SourceTraits{Scales: s.mode == "scales"}, []string{"enqueue"}
	}
	if s.mode == "wrong-kind" {
		out.Services, out.Processor = []string{pluginv1.Source_ServiceDesc.ServiceName}, nil
	}
	return out, nil
}

func (s *service) Validate(_ context.Context, req *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	switch s.mode {
	case "panic-validate":
		panic("a test's panic in Validate")
	case "hang-validate":
		select {}
	case "long-diagnostic":
		return &pluginv1.ValidateResponse{Diagnostics: []*pluginv1.Diagnostic{warning(strings.Repeat("long ", 1<<18))}}, nil
	case "environ": // tells its environment, and its descriptors
		return &pluginv1.ValidateResponse{Diagnostics: []*pluginv1.Diagnostic{warning(strings.Join(os.Environ(), "\n"))}}, nil
	}
	_, diagnostics := parseConfig(req.GetConfigJson())
	return &pluginv1.ValidateResponse{Diagnostics: diagnostics}, nil
}

func (s *service) Configure(_ context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	var diagnostics []*pluginv1.Diagnostic
	s.config, diagnostics = parseConfig(req.GetConfigJson())
	if s.mode == "exit-configured" {
		time.AfterFunc(10*time.Millisecond, func() { exit(7, "leaving, as configured") })
	}
	return &pluginv1.ConfigureResponse{Diagnostics: diagnostics}, nil
}

func (s *service) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	return &pluginv1.DrainResponse{}, nil
}

func (s *service) Shutdown(context.Context, *pluginv1.ShutdownRequest) (*pluginv1.ShutdownResponse, error) {
	if s.mode == "ignore-shutdown" {
		select {}
	}
	return &pluginv1.ShutdownResponse{}, nil
}
