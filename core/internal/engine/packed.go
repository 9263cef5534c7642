package engine

import (
	"sync"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// packed is lines in one piece, for a source that takes them so. Its memory goes from one call to the next, whichever job
// that is of.
type packed struct {
	data []byte
	ends []uint32
}

var packs = sync.Pool{New: func() any { return &packed{} }}

// pack puts the lines of a request into one piece, if the source takes them so. The caller calls free when the call is over:
// gRPC has encoded a message by then.
func pack(request *pluginv1.AppendLogsRequest, takes bool) (free func()) {
	if !takes || len(request.Lines) == 0 {
		return func() {}
	}
	p, ok := packs.Get().(*packed)
	if !ok {
		p = &packed{}
	}
	p.data, p.ends = p.data[:0], p.ends[:0]
	for _, line := range request.Lines {
		p.data = append(p.data, line...)
		p.ends = append(p.ends, uint32(len(p.data))) //nolint:gosec // a chunk is far smaller
	}
	request.Lines, request.Data, request.Ends = nil, p.data, p.ends
	return func() { packs.Put(p) }
}
