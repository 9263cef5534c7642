package sdk

import (
	"bytes"
	"context"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// keeper is a JobSource that keeps the lines of the last call.
type keeper struct {
	JobSource
	lines [][]byte
}

func (k *keeper) AppendLogs(_ context.Context, logs Logs) ([]RefusedLines, error) {
	k.lines = logs.Lines
	return nil, nil
}

func TestAppendLogs(t *testing.T) {
	tests := []struct {
		name    string
		request *pluginv1.AppendLogsRequest
		want    []string
		code    codes.Code
	}{
		{name: "lines", request: &pluginv1.AppendLogsRequest{Lines: [][]byte{[]byte("a"), {}, []byte("b")}}, want: []string{"a", "", "b"}},
		{name: "packed", request: &pluginv1.AppendLogsRequest{Data: []byte("abc"), Ends: []uint32{1, 1, 3}}, want: []string{"a", "", "bc"}},
		{name: "packed, only empty ones", request: &pluginv1.AppendLogsRequest{Ends: []uint32{0, 0}}, want: []string{"", ""}},
		{name: "no lines", request: &pluginv1.AppendLogsRequest{}},
		{name: "ends descend", request: &pluginv1.AppendLogsRequest{Data: []byte("abc"), Ends: []uint32{2, 1, 3}}, code: codes.InvalidArgument},
		{name: "an end is outside", request: &pluginv1.AppendLogsRequest{Data: []byte("abc"), Ends: []uint32{4}}, code: codes.InvalidArgument},
		{name: "bytes are left", request: &pluginv1.AppendLogsRequest{Data: []byte("abc"), Ends: []uint32{2}}, code: codes.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &keeper{}
			s := &sourceServer{logger: hclog.NewNullLogger(), source: k}
			if _, err := s.AppendLogs(t.Context(), tt.request); status.Code(err) != tt.code {
				t.Fatalf("the answer is %v, want %s", err, tt.code)
			}
			got := make([]string, 0, len(k.lines))
			for _, line := range k.lines {
				got = append(got, string(line))
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// chunk is a call with lines of 100 bytes, as it comes over the wire.
func chunk(tb testing.TB, lines int, packed bool) []byte {
	r, line := &pluginv1.AppendLogsRequest{FirstLine: 1}, bytes.Repeat([]byte("x"), 100)
	for range lines {
		if !packed {
			r.Lines = append(r.Lines, line)
			continue
		}
		r.Data = append(r.Data, line...)
		r.Ends = append(r.Ends, uint32(len(r.Data))) //nolint:gosec // small
	}
	wire, err := proto.Marshal(r)
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

// take decodes a call and gives it to a source.
func take(tb testing.TB, s *sourceServer, wire []byte) {
	r := &pluginv1.AppendLogsRequest{}
	if err := proto.Unmarshal(wire, r); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.AppendLogs(context.Background(), r); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkAppendLogs is a megabyte of lines of 100 bytes, from the wire to the source, in both forms.
func BenchmarkAppendLogs(b *testing.B) {
	for name, packed := range map[string]bool{"lines": false, "packed": true} {
		b.Run(name, func(b *testing.B) {
			s, wire := &sourceServer{logger: hclog.NewNullLogger(), source: &keeper{}}, chunk(b, 10_000, packed)
			b.SetBytes(1_000_000)
			b.ReportAllocs()
			for b.Loop() {
				take(b, s, wire)
			}
		})
	}
}

// TestAppendLogsAllocations: lines in one piece cost the same number of allocations however many they are.
func TestAppendLogsAllocations(t *testing.T) {
	const most = 20
	for _, lines := range []int{10, 10_000} {
		s, wire := &sourceServer{logger: hclog.NewNullLogger(), source: &keeper{}}, chunk(t, lines, true)
		if got := testing.AllocsPerRun(20, func() { take(t, s, wire) }); got > most {
			t.Errorf("%d lines cost %v allocations, more than %d", lines, got, most)
		}
	}
}
