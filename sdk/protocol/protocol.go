// Package protocol holds what both ends of the plugin protocol have to agree on beside the .proto files: the handshake,
// the sizes, the names of environment variables, the JSON of a plugin's description. Plugin authors have no use for it;
// core and package sdk do.
package protocol

import (
	"context"
	"errors"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Version is the major version of the protocol, and the number of its proto package: runner.plugin.v1.
const Version = 1

// Handshake is how a plugin knows that core has started it, and not a person. It keeps nobody out. Key and value never
// change: every plugin ever built has them.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  Version,
	MagicCookieKey:   "RUNNER_PLUGIN_COOKIE",
	MagicCookieValue: "5f1f6f2f0cbb8a2a6c79a8f0b0f6ad2b9f6c24f84f6ad5c7a8d3b9d2f1c0e7aa",
}

// Environment variables that core sets for a plugin, beside the handshake's.
const (
	// EnvLogLevel is the level at which the plugin logs: trace, debug, info, warn, error or off.
	EnvLogLevel = "RUNNER_PLUGIN_LOG_LEVEL"
	// EnvLifeline is "stdin" when the plugin's standard input is a pipe whose other end only core holds. The end of
	// that input then says that core is gone, and the plugin ends itself.
	EnvLifeline = "RUNNER_PLUGIN_LIFELINE"
	// EnvConfigFD is the number of the descriptor on which a plugin's subcommand, and nothing else, finds the plugin's
	// configuration, as in ConfigureRequest.
	EnvConfigFD = "RUNNER_PLUGIN_CONFIG_FD"
)

// EnvReattach is read by core: a JSON object of plugin name to go-plugin's reattach configuration, for plugins that a
// developer runs in a debugger. A plugin that is started with --debug prints it.
const EnvReattach = "RUNNER_REATTACH_PLUGINS"

// Sizes and windows of the protocol.
const (
	// MaxMessageBytes is the limit of one message in both directions. gRPC's own default for what is received is 4 MiB,
	// for what is sent there is none; batches are far smaller, and only a Result that gives many lines back, or a
	// checkpoint, comes anywhere near.
	MaxMessageBytes = 16 << 20
	// MaxBatchBytes is the most that a Batch holds, encoded. A message of more than 32 KiB falls into the next tier of
	// grpc-go's buffer pool, which is 1 MiB and is cleared at each use.
	MaxBatchBytes = 31 << 10
	// MaxRecordBytes is the most that one record holds; a longer line is cut into pieces. It leaves room in a batch for
	// the record's columns.
	MaxRecordBytes = 30 << 10
	// MaxBatchLines is the most records of one Batch.
	MaxBatchLines = 512
	// MaxCheckpointBytes is the most that a checkpoint holds. Core keeps one for each job and processor, and sends it
	// back in an Open; it is to be a state, not a log.
	MaxCheckpointBytes = 2 << 20
	// WindowBatches is the number of batches that core sends ahead of a processor's acknowledgements.
	WindowBatches = 8
	// StreamWindowBytes and ConnWindowBytes are static HTTP/2 windows; static ones switch off grpc-go's estimator, which
	// may grow a window to 16 MiB for each stream. A job's eight batches fit.
	StreamWindowBytes = 1 << 20
	ConnWindowBytes   = 4 << 20
	// BufferBytes is the size of each of grpc-go's buffers around the socket: one for what is read and one for what is
	// written, at both ends. Its default of 32 KiB is less than a full batch with its frames, which so took two system
	// calls a side.
	BufferBytes = 128 << 10
)

// Name is the name under which a plugin is dispensed; there is one a process.
const Name = "runner"

// Set is the plugin set of Version, for both sides. register is called in the plugin and nil in core.
func Set(register func(*grpc.Server)) map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{Version: {Name: &binding{register: register}}}
}

// DialOptions are the options of core's end of a connection.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes),
		),
		grpc.WithInitialWindowSize(StreamWindowBytes),
		grpc.WithInitialConnWindowSize(ConnWindowBytes),
		grpc.WithReadBufferSize(BufferBytes),
		grpc.WithWriteBufferSize(BufferBytes),
	}
}

// ServerOptions are the options of a plugin's end of a connection.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.InitialWindowSize(StreamWindowBytes),
		grpc.InitialConnWindowSize(ConnWindowBytes),
		grpc.ReadBufferSize(BufferBytes),
		grpc.WriteBufferSize(BufferBytes),
	}
}

// binding ties the services to go-plugin: it registers them in the plugin, and gives core the bare connection, on which
// core makes the clients that it wants.
type binding struct {
	plugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

func (b *binding) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	if b.register == nil {
		return errors.New("protocol: no services to register")
	}
	b.register(server)
	return nil
}

func (b *binding) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
