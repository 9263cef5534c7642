package sdk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

func TestPrefixRuns(t *testing.T) {
	tests := []struct {
		name string
		old  bool // core does not take runs
		edit func(b *Batch)
		want *pluginv1.Edits
	}{
		{
			name: "the same before each line",
			edit: func(b *Batch) {
				for i := range b.Len() {
					b.Splice(i, 0, 0, []byte("p"))
				}
			},
			want: &pluginv1.Edits{FirstSeq: 1, PrefixCounts: []uint32{5}, PrefixLengths: []uint32{1}, PrefixData: []byte("p")},
		},
		{
			name: "a core that does not take runs", old: true,
			edit: func(b *Batch) { b.Splice(0, 0, 0, []byte("p")) },
			want: &pluginv1.Edits{
				FirstSeq: 1, Ops: []byte{opSplice}, Lines: []uint32{0}, Offsets: []uint32{0}, Removed: []uint32{0}, Inserted: []uint32{1}, Data: []byte("p"),
			},
		},
		{
			name: "texts that change, and a gap",
			edit: func(b *Batch) {
				b.Splice(0, 0, 0, []byte("p"))
				b.Splice(1, 0, 0, []byte("qq"))
				b.Splice(2, 0, 0, []byte("qq"))
				b.Splice(4, 0, 0, []byte("qq"))
			},
			want: &pluginv1.Edits{
				FirstSeq: 1, PrefixCounts: []uint32{1, 2, 1, 1}, PrefixLengths: []uint32{1, 2, 0, 2}, PrefixData: []byte("pqqqq"),
			},
		},
		{
			name: "what follows is an edit behind it",
			edit: func(b *Batch) {
				b.Splice(0, 0, 0, []byte("p"))
				b.Splice(0, 0, 0, []byte("r"))
				b.Replace(1, []byte("x"))
			},
			want: &pluginv1.Edits{
				FirstSeq: 1, PrefixCounts: []uint32{1}, PrefixLengths: []uint32{1}, PrefixData: []byte("p"),
				Ops: []byte{opSplice, opSplice}, Lines: []uint32{0, 1}, Offsets: []uint32{0, 0}, Removed: []uint32{0, 4}, Inserted: []uint32{1, 1}, Data: []byte("rx"),
			},
		},
		{
			name: "what came before stays before it",
			edit: func(b *Batch) {
				b.Splice(2, 1, 0, []byte("m"))
				b.Splice(1, 0, 0, []byte("p"))
				b.Splice(2, 0, 0, []byte("p"))
			},
			want: &pluginv1.Edits{
				FirstSeq: 1, Ops: []byte{opSplice, opSplice, opSplice}, Lines: []uint32{1, 1, 0}, Offsets: []uint32{0, 0, 1},
				Removed: []uint32{0, 0, 0}, Inserted: []uint32{1, 1, 1}, Data: []byte("ppm"),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			records := &pluginv1.Batch{FirstSeq: 1}
			for range 5 {
				records.Data = append(records.Data, "line"...)
				records.Ends = append(records.Ends, uint32(len(records.Data))) //nolint:gosec // small
				records.Flags = append(records.Flags, 0)
			}
			var b Batch
			b.edits.prefixes.taken = !tt.old
			for range 2 { // the memory is used again
				b.reset(records)
				tt.edit(&b)
				got, err := b.edits.encode(records.FirstSeq)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			}
			b.reset(records)
			if got, err := b.edits.encode(1); got != nil || err != nil {
				t.Errorf("edits of the batch before are left: %v, %v", got, err)
			}
		})
	}
}
