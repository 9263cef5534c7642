package agent

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/podrunner/runner/core/internal/agent/agentv1"
	"github.com/podrunner/runner/core/internal/record"
)

// batches are some of each shape.
func batches() map[string]*record.Batch {
	build := func(records ...record.Record) *record.Batch {
		var b record.Builder
		for _, r := range records {
			b.Add(record.StepJob, r)
		}
		return b.Take()
	}
	many := make([]record.Record, record.MaxBatchLines)
	for i := range many {
		many[i] = record.Record{Flags: record.Flags(i % 4), Time: int64(i * i), Text: bytes.Repeat([]byte{byte(i)}, i%50)}
	}
	return map[string]*record.Batch{
		"one empty line":   build(record.Record{}),
		"binary":           build(record.Record{Text: []byte("a\x00\xff\r"), Time: 1}, record.Record{Flags: record.Stderr, Time: 1}),
		"times that jump":  build(record.Record{Time: 1 << 62}, record.Record{Time: -1 << 62}, record.Record{Time: 5}),
		"one long record":  build(record.Record{Flags: record.Partial, Text: make([]byte, record.MaxBytes)}),
		"as many as fit":   build(many...),
		"all at one time":  build(record.Record{Time: 7, Text: []byte("a")}, record.Record{Time: 7, Text: []byte("b")}),
		"before the epoch": build(record.Record{Time: -7}),
	}
}

func TestBatchComesBack(t *testing.T) {
	for name, batch := range batches() {
		t.Run(name, func(t *testing.T) {
			data, err := proto.Marshal(pack(batch, 42))
			if err != nil {
				t.Fatal(err)
			}
			if len(data) > maxMessage/2 {
				t.Errorf("it has %d bytes", len(data))
			}
			var m agentv1.Records
			if err := proto.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
			back, err := unpack(record.StepJob, &m)
			if err != nil {
				t.Fatal(err)
			}
			if m.GetFirst() != 42 {
				t.Errorf("the first one is %d", m.GetFirst())
			}
			if diff := cmp.Diff(texts(batch), texts(back)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// texts are the records, told so that empty and nil are the same.
func texts(b *record.Batch) (list []record.Record) {
	for _, r := range b.All {
		r.Text = append([]byte{}, r.Text...)
		list = append(list, r)
	}
	return list
}

func TestBadBatches(t *testing.T) {
	for name, spoil := range map[string]func(m *agentv1.Records){
		"no records":        func(m *agentv1.Records) { m.Ends, m.Flags, m.Data = nil, nil, nil },
		"too many":          func(m *agentv1.Records) { m.Ends, m.Flags = make([]uint32, 513), make([]byte, 513) },
		"flags missing":     func(m *agentv1.Records) { m.Flags = m.Flags[:1] },
		"flags too many":    func(m *agentv1.Records) { m.Flags = append(m.Flags, 0) },
		"an unknown flag":   func(m *agentv1.Records) { m.Flags[1] = 0x80 },
		"times missing":     func(m *agentv1.Records) { m.Deltas = []int64{1} },
		"data left":         func(m *agentv1.Records) { m.Data = append(m.Data, 'x') },
		"data missing":      func(m *agentv1.Records) { m.Data = m.Data[:1] },
		"ends not in order": func(m *agentv1.Records) { m.Ends[0] = 5 },
		"a long record": func(m *agentv1.Records) {
			m.Data = make([]byte, record.MaxBytes+1)
			m.Ends[1] = uint32(len(m.Data))
			m.Ends[0] = 0
		},
		"a long batch": func(m *agentv1.Records) {
			m.Data = make([]byte, record.MaxBatchBytes+1)
			m.Ends[0], m.Ends[1] = uint32(len(m.Data)/2), uint32(len(m.Data))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &agentv1.Records{First: 1, Data: []byte("ab"), Ends: []uint32{1, 2}, Flags: []byte{0, 1}}
			if _, err := unpack(record.StepJob, m); err != nil {
				t.Fatal(err)
			}
			spoil(m)
			if b, err := unpack(record.StepJob, m); err == nil {
				t.Errorf("it is taken as %v", b)
			}
		})
	}
}

// FuzzUnpack has anything come from the other end: it is refused, or it is a batch that keeps what the pipeline relies on.
func FuzzUnpack(f *testing.F) {
	for _, batch := range batches() {
		data, err := proto.Marshal(pack(batch, 1))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m agentv1.Records
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		b, err := unpack(record.StepJob, &m)
		if err != nil {
			return
		}
		if b.Len() == 0 || b.Len() > record.MaxBatchLines || len(b.Data) > record.MaxBatchBytes {
			t.Fatalf("a batch of %d records, %d bytes", b.Len(), len(b.Data))
		}
		bytes := 0
		for _, r := range b.All {
			if len(r.Text) > record.MaxBytes || r.Flags&^(record.Stderr|record.Partial) != 0 {
				t.Fatalf("a record of %d bytes with the flags %#x", len(r.Text), r.Flags)
			}
			bytes += len(r.Text)
		}
		if bytes != len(b.Data) {
			t.Fatalf("the records have %d bytes, the batch has %d", bytes, len(b.Data))
		}
		if again := pack(b, m.GetFirst()); !proto.Equal(again, stripped(&m)) {
			t.Fatalf("it is packed as %v, was %v", again, &m)
		}
	})
}

// stripped is a message without what this version does not know.
func stripped(m *agentv1.Records) *agentv1.Records {
	m.ProtoReflect().SetUnknown(nil)
	return m
}
