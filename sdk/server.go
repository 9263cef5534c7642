package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podrunner/runner/sdk/internal/inside"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

func init() {
	inside.NewServer = func(plugin any, logger hclog.Logger) (*grpc.Server, error) {
		p, ok := plugin.(Plugin)
		if !ok {
			return nil, fmt.Errorf("%T is no sdk.Plugin", plugin)
		}
		s, err := newServer(p, logger)
		if err != nil {
			return nil, err
		}
		server := s.newGRPC(nil)
		s.register(server)
		return server, nil
	}
}

// server serves a Plugin over gRPC.
type server struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedProcessorServer

	plugin Plugin
	// source is nil for a processor.
	source *sourceServer
	body   *body
	logger hclog.Logger
	// started is called once, when core makes its first call.
	started func()
	// opened is told how many jobs more are open, or, below 0, fewer.
	opened func(n int)
	// reconfigurable allows more than one Configure, for a process that serves one host after another.
	reconfigurable bool

	// configuring is held by Configure and Shutdown.
	configuring sync.Mutex

	mu sync.RWMutex
	// config is the configuration, a pointer to the struct; the zero Value until Configure has taken one on.
	config reflect.Value
}

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// newServer checks the plugin: what it finds is for the plugin's author.
func newServer(p Plugin, logger hclog.Logger) (*server, error) {
	if !pluginName.MatchString(p.Name) {
		return nil, fmt.Errorf("the plugin's name %q is not made of lower-case letters, digits and dashes", p.Name)
	}
	if (p.Processor == nil) == (p.Source == nil) {
		return nil, fmt.Errorf("plugin %s: it has to have a Processor, made with sdk.Lines or sdk.Batches, or a Source, made with sdk.Jobs, and not both", p.Name)
	}
	s := &server{plugin: p, logger: logger, started: func() {}, opened: func(int) {}}
	if p.Source != nil {
		s.source = &sourceServer{logger: logger, taking: make(chan struct{}, 1)}
	}
	var err error
	if s.body, err = bodyOf(s.configType()); err != nil {
		return nil, fmt.Errorf("plugin %s: configuration: %w", p.Name, err)
	}
	return s, nil
}

// configType is the struct that the configuration is decoded into.
func (s *server) configType() reflect.Type {
	if s.plugin.Source != nil {
		return s.plugin.Source.configType()
	}
	return s.plugin.Processor.configType()
}

// newGRPC returns a gRPC server with the protocol's options beside those given.
func (s *server) newGRPC(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(slices.Concat(options, protocol.ServerOptions(), s.options())...)
}

func (s *server) register(r *grpc.Server) {
	pluginv1.RegisterPluginServer(r, s)
	if s.source != nil {
		pluginv1.RegisterSourceServer(r, s.source)
		return
	}
	pluginv1.RegisterProcessorServer(r, s)
}

// Describe tells what the plugin is.
func (s *server) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return s.describe(), nil
}

func (s *server) describe() *pluginv1.DescribeResponse {
	build := readBuild()
	version := s.plugin.Version
	if version == "" {
		version = build.main
	}
	d := &pluginv1.DescribeResponse{
		Name:        s.plugin.Name,
		Version:     version,
		Description: s.plugin.Description,
		SdkVersion:  build.sdk,
		Config:      s.body.schema(""),
	}
	for _, c := range s.plugin.Commands {
		d.Commands = append(d.Commands, c.Name)
	}
	if s.source != nil {
		d.Services, d.Source = []string{pluginv1.Source_ServiceDesc.ServiceName}, s.plugin.Source.traits()
		return d
	}
	d.Services = []string{pluginv1.Processor_ServiceDesc.ServiceName}
	d.Processor = &pluginv1.ProcessorTraits{
		Redacts:      s.plugin.Redacts,
		NeedsSecrets: s.plugin.NeedsSecrets,
		Checkpoints:  s.plugin.Processor.checkpoints(),
		ReadsOutcome: s.plugin.ReadsOutcome,
	}
	return d
}

// Validate checks a configuration.
func (s *server) Validate(_ context.Context, r *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	_, d := s.decode(r.ConfigJson)
	return &pluginv1.ValidateResponse{Diagnostics: d.list}, nil
}

// decode reads and checks a configuration. It is of use only when there are no errors.
func (s *server) decode(configJSON []byte) (config reflect.Value, d *Diagnostics) {
	config, d = reflect.New(s.configType()), &Diagnostics{}
	s.body.decode(configJSON, config.Elem(), d)
	if d.HasErrors() {
		return config, d
	}
	if v, ok := config.Interface().(Validator); ok {
		v.Validate(d)
	}
	return config, d
}

// Configure takes a configuration on.
func (s *server) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	if s.current().IsValid() && !s.reconfigurable {
		return nil, status.Error(codes.FailedPrecondition, "the plugin is configured already; another configuration needs another process")
	}
	config, d := s.decode(r.ConfigJson)
	if c, ok := config.Interface().(Configurer); ok && !d.HasErrors() {
		c.Configure(ctx, d)
	}
	if d.HasErrors() {
		return &pluginv1.ConfigureResponse{Diagnostics: d.list}, nil
	}
	if s.source != nil {
		made, err := s.plugin.Source.connect(ctx, r.GetRunnerName(), config.Elem())
		if err != nil {
			return nil, fmt.Errorf("make the source: %w", err)
		}
		if err := s.source.replace(ctx, made); err != nil {
			s.logger.Warn("the source before this one did not close", "error", err)
		}
	}
	if err := s.replace(config); err != nil {
		s.logger.Warn("the configuration before this one did not close", "error", err)
	}
	return &pluginv1.ConfigureResponse{Diagnostics: d.list}, nil
}

// current returns the configuration, invalid when there is none.
func (s *server) current() reflect.Value {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.config
}

// replace puts config, which may be invalid, in place of the configuration, and closes that one.
func (s *server) replace(config reflect.Value) error {
	s.mu.Lock()
	old := s.config
	s.config = config
	s.mu.Unlock()
	if !old.IsValid() {
		return nil
	}
	if c, ok := old.Interface().(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Drain begins nothing new: a source claims nothing more, and a processor never begins anything by itself.
func (s *server) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	if s.source != nil {
		s.source.drain()
	}
	return &pluginv1.DrainResponse{}, nil
}

// Shutdown closes what Configure has opened.
func (s *server) Shutdown(ctx context.Context, _ *pluginv1.ShutdownRequest) (*pluginv1.ShutdownResponse, error) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	var err error
	if s.source != nil {
		err = s.source.replace(ctx, nil)
	}
	if err := errors.Join(err, s.replace(reflect.Value{})); err != nil {
		return nil, status.Errorf(codes.Unknown, "close: %v", err)
	}
	return &pluginv1.ShutdownResponse{}, nil
}

// Process is one job.
func (s *server) Process(stream grpc.BidiStreamingServer[pluginv1.ProcessRequest, pluginv1.ProcessResponse]) error {
	config := s.current()
	if !config.IsValid() {
		return status.Error(codes.FailedPrecondition, "the plugin is not configured; Configure comes before Process")
	}
	s.opened(1)
	defer s.opened(-1)
	return statusOf((&jobStream{
		stream:    stream,
		processor: s.plugin.Processor,
		config:    config.Elem(),
		logger:    s.logger,
	}).run())
}

// statusOf gives an author's error the code Unknown, and leaves what has one already.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	var coded interface{ GRPCStatus() *status.Status }
	if errors.As(err, &coded) {
		return coded.GRPCStatus().Err()
	}
	return status.Error(codes.Unknown, err.Error())
}
