package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
	"github.com/podrunner/runner/sdk/protocol"
)

// wire is a processor that is written without the SDK.
type wire struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedProcessorServer
	// result answers a batch; nil: with nothing.
	result func(b *pluginv1.Batch) *pluginv1.Result
	// finished answers Finish.
	finished func(f *pluginv1.Finish) *pluginv1.Finished
	// strict refuses unknown fields.
	strict bool
	// checkpoints: it declares that it has some.
	checkpoints bool
	// schema is the configuration's.
	schema *pluginv1.Schema
	// drained is closed by Drain, if that ends streams.
	drained chan struct{}
}

// wires are wrong processors that break the protocol itself.
var wires = map[string]*wire{
	"half a batch": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: b.FirstSeq + uint64(len(b.Ends)-1)/2}
	}},
	"too early": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b) + 1000}
	}},
	"not cumulative": {result: func(*pluginv1.Batch) *pluginv1.Result { return &pluginv1.Result{} }},
	"silent":         {result: func(*pluginv1.Batch) *pluginv1.Result { return nil }},
	"hoards": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		if len(b.Ends) == 1 {
			return nil
		}
		return ack(b)
	}},
	"foreign edit": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Edits: &pluginv1.Edits{
			FirstSeq: last(b) + 1, Ops: []byte{byte(pluginv1.Op_OP_DROP)}, Lines: []uint32{0},
		}}
	}},
	"outcome line": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Edits: &pluginv1.Edits{
			FirstSeq: b.FirstSeq, Ops: []byte{byte(pluginv1.Op_OP_INSERT_AFTER)}, Lines: []uint32{0},
			Inserted: []uint32{0}, InsertFlags: []byte{byte(pluginv1.Flag_FLAG_OUTCOME)},
		}}
	}},
	"overlap": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		splice := byte(pluginv1.Op_OP_SPLICE)
		return &pluginv1.Result{AckThrough: last(b), Edits: &pluginv1.Edits{
			FirstSeq: b.FirstSeq, Ops: []byte{splice, splice}, Lines: []uint32{0, 0},
			Offsets: []uint32{0, 1}, Removed: []uint32{2, 1}, Inserted: []uint32{0, 0},
		}}
	}},
	"short columns": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Edits: &pluginv1.Edits{
			FirstSeq: b.FirstSeq, Ops: []byte{byte(pluginv1.Op_OP_INSERT_AFTER)}, Lines: []uint32{0},
			Inserted: []uint32{5}, InsertFlags: []byte{0}, Data: []byte("four"),
		}}
	}},
	"prefixes unasked": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Edits: prefixes(b.FirstSeq, len(b.Ends))}
	}},
	"prefixes too many": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Edits: prefixes(b.FirstSeq, len(b.Ends)+1)}
	}},
	"checkpoint": {result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Checkpoint: []byte("state")}
	}},
	"large checkpoint": {checkpoints: true, result: func(b *pluginv1.Batch) *pluginv1.Result {
		return &pluginv1.Result{AckThrough: last(b), Checkpoint: make([]byte, protocol.MaxCheckpointBytes+1)}
	}},
	"no result": {result: ack, finished: func(*pluginv1.Finish) *pluginv1.Finished { return &pluginv1.Finished{} }},
	"line end": {result: ack, finished: func(f *pluginv1.Finish) *pluginv1.Finished {
		return &pluginv1.Finished{Result: f.Result, Lines: []*pluginv1.FinalLine{{Line: []byte("a\nb")}}}
	}},
	"no finished": {result: ack, finished: func(*pluginv1.Finish) *pluginv1.Finished { return nil }},
	"strict":      {result: ack, strict: true},
	"schema":      {result: ack, schema: &pluginv1.Schema{Attributes: []*pluginv1.Attribute{{Name: "a"}}}},
	"drain":       {result: ack, drained: make(chan struct{})},
}

func last(b *pluginv1.Batch) uint64 { return b.FirstSeq + uint64(len(b.Ends)) - 1 }

// prefixes are edits that put a text before each of n records.
func prefixes(first uint64, n int) *pluginv1.Edits {
	return &pluginv1.Edits{FirstSeq: first, PrefixCounts: []uint32{uint32(n)}, PrefixLengths: []uint32{1}, PrefixData: []byte("p")}
}

func ack(b *pluginv1.Batch) *pluginv1.Result { return &pluginv1.Result{AckThrough: last(b)} }

func serveWire(w *wire) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: protocol.Handshake,
		VersionedPlugins: protocol.Set(func(s *grpc.Server) {
			pluginv1.RegisterPluginServer(s, w)
			pluginv1.RegisterProcessorServer(s, w)
		}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				os.Exit(0)
			}()
			return grpc.NewServer(append(options, protocol.ServerOptions()...)...)
		},
	})
}

// Describe tells as little as is allowed.
func (w *wire) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return &pluginv1.DescribeResponse{
		Name:      "bad",
		Services:  []string{pluginv1.Processor_ServiceDesc.ServiceName},
		Config:    w.schema,
		Processor: &pluginv1.ProcessorTraits{Checkpoints: w.checkpoints},
	}, nil
}

// Validate takes everything.
func (w *wire) Validate(context.Context, *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	return &pluginv1.ValidateResponse{}, nil
}

// Configure takes everything.
func (w *wire) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{}, nil
}

// Drain ends all streams if that is what is wrong.
func (w *wire) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	if w.drained != nil {
		close(w.drained)
	}
	return &pluginv1.DrainResponse{}, nil
}

// Shutdown has nothing to do.
func (w *wire) Shutdown(context.Context, *pluginv1.ShutdownRequest) (*pluginv1.ShutdownResponse, error) {
	return &pluginv1.ShutdownResponse{}, nil
}

// Process answers as the fields of w say.
func (w *wire) Process(stream grpc.BidiStreamingServer[pluginv1.ProcessRequest, pluginv1.ProcessResponse]) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-w.drained:
			return status.Error(codes.Unavailable, "draining")
		default:
		}
		response := w.answer(request)
		if response == nil {
			continue
		}
		if w.strict && len(request.GetOpen().ProtoReflect().GetUnknown()) > 0 {
			return status.Error(codes.InvalidArgument, "unknown field")
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (w *wire) answer(request *pluginv1.ProcessRequest) *pluginv1.ProcessResponse {
	switch m := request.Message.(type) {
	case *pluginv1.ProcessRequest_Open:
		return &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Opened{Opened: &pluginv1.Opened{}}}
	case *pluginv1.ProcessRequest_Batch:
		if result := w.result(m.Batch); result != nil {
			return &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Result{Result: result}}
		}
	case *pluginv1.ProcessRequest_Finish:
		finished := &pluginv1.Finished{Result: m.Finish.Result}
		if w.finished != nil {
			finished = w.finished(m.Finish)
		}
		if finished != nil {
			return &pluginv1.ProcessResponse{Message: &pluginv1.ProcessResponse_Finished{Finished: finished}}
		}
	}
	return nil
}
