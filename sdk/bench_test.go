package sdk

import (
	"context"
	"reflect"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// wireStream encodes what is sent as gRPC would, into the same memory again and again.
type wireStream struct {
	grpc.ServerStream
	sent []byte
}

func (s *wireStream) Send(r *pluginv1.ProcessResponse) (err error) {
	s.sent, err = proto.MarshalOptions{}.MarshalAppend(s.sent[:0], r)
	return err
}

func (s *wireStream) Recv() (*pluginv1.ProcessRequest, error) { panic("not called") }

// prefixer is about the least that a processor can do to every line.
type prefixer struct{ prefix []byte }

func (p *prefixer) Line(_ context.Context, l *Line) error {
	l.Splice(0, 0, p.prefix)
	return nil
}

// batchOf returns a batch of n lines of 100 bytes.
func batchOf(n int) *pluginv1.Batch {
	b := &pluginv1.Batch{FirstSeq: 1, Step: "job", BaseTime: 1}
	for range n {
		for range 10 {
			b.Data = append(b.Data, "0123456789"...)
		}
		b.Ends = append(b.Ends, uint32(len(b.Data)))
		b.Flags = append(b.Flags, 0)
		b.Dt = append(b.Dt, 1000)
	}
	return b
}

// prefixing returns a job in the middle of its log.
func prefixing(tb testing.TB) *jobStream {
	p := Lines(func(context.Context, Job, struct{}) (*prefixer, error) {
		return &prefixer{prefix: []byte("[12:00:00] ")}, nil
	})
	config := reflect.ValueOf(struct{}{})
	value, err := p.open(tb.Context(), Job{}, config)
	if err != nil {
		tb.Fatal(err)
	}
	j := &jobStream{stream: &wireStream{}, processor: p, config: config, logger: hclog.NewNullLogger(), ctx: tb.Context(), value: value, next: 1}
	j.response.Message = &pluginv1.ProcessResponse_Result{Result: &j.result}
	return j
}

// BenchmarkPrefix is one batch of 300 lines with a splice for each, from checked columns to encoded edits.
func BenchmarkPrefix(b *testing.B) {
	j, batch := prefixing(b), batchOf(300)
	b.SetBytes(int64(len(batch.Data)))
	b.ReportAllocs()
	for b.Loop() {
		j.next = 1
		if err := j.process(batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrefixDecoded is BenchmarkPrefix with the decoding of the batch.
func BenchmarkPrefixDecoded(b *testing.B) {
	j, batch := prefixing(b), batchOf(300)
	wire, err := proto.Marshal(&pluginv1.ProcessRequest{Message: &pluginv1.ProcessRequest_Batch{Batch: batch}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(batch.Data)))
	b.ReportAllocs()
	for b.Loop() {
		j.next = 1
		request := &pluginv1.ProcessRequest{}
		if err := proto.Unmarshal(wire, request); err != nil {
			b.Fatal(err)
		}
		if err := j.process(request.GetBatch()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocations guards the promise that a line costs no allocation: a batch of many costs as much as one of few.
func TestAllocations(t *testing.T) {
	const most = 2
	for _, lines := range []int{10, 300} {
		j, batch := prefixing(t), batchOf(lines)
		run := func() {
			j.next = 1
			if err := j.process(batch); err != nil {
				t.Fatal(err)
			}
		}
		run() // The buffers grow to their size.
		if got := testing.AllocsPerRun(100, run); got > most {
			t.Errorf("a batch of %d lines costs %v allocations, more than %d", lines, got, most)
		}
	}
}
