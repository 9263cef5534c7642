package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// deliver writes words to a delivery, one Write each, and returns the chunks that it sent.
func deliver(t *testing.T, options DeliveryOptions, write func(d *Delivery, line func(words ...string))) (chunks [][]string, acked uint64) {
	ctx, cancel := context.WithCancel(t.Context())
	next := uint64(1)
	options.Send = func(_ context.Context, c Chunk) ([]string, error) {
		if c.FirstLine != next {
			t.Errorf("a chunk begins with line %d, want %d", c.FirstLine, next)
		}
		if age := time.Since(c.Made); age < 0 || age > time.Minute {
			t.Errorf("a chunk was made %s ago", age)
		}
		next += uint64(len(c.Lines))
		var lines []string
		for _, l := range c.Lines {
			lines = append(lines, string(l))
		}
		chunks = append(chunks, lines)
		return nil, nil
	}
	d := NewDelivery(ctx, options)
	through := uint64(0)
	write(d, func(words ...string) {
		for _, w := range words {
			through++
			if err := d.Write(ctx, logOf(1, w).batches[0], through, func(n uint64) { acked = n }); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	d.Wait()
	return chunks, acked
}

// TestDeliveryVectors runs the seed's recorded batching. One vector differs on purpose: the seed looks at the interval
// only when a line arrives, and this delivery has a timer, so a line does not wait for the next one.
func TestDeliveryVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/batching.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name     string
		MaxBytes int
		MaxMS    int
		Events   []struct {
			Line   string
			WaitMS int
		}
		Batches [][]string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	onPurpose := map[string][][]string{
		"interval is checked only when a line arrives, and includes that line": {{"a"}, {"b"}, {"c", "d"}},
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			want := v.Batches
			if changed, ok := onPurpose[v.Name]; ok {
				want = changed
			}
			synctest.Test(t, func(t *testing.T) {
				options := DeliveryOptions{MaxBytes: v.MaxBytes, MaxInterval: time.Duration(v.MaxMS) * time.Millisecond}
				got, acked := deliver(t, options, func(_ *Delivery, line func(...string)) {
					for _, e := range v.Events {
						time.Sleep(time.Duration(e.WaitMS) * time.Millisecond)
						line(e.Line)
					}
				})
				if len(got) == 0 {
					got = [][]string{}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				if acked != uint64(len(v.Events)) {
					t.Errorf("%d records are acknowledged, want %d", acked, len(v.Events))
				}
			})
		})
	}
}

func TestDeliveryOfPieces(t *testing.T) {
	long := strings.Repeat("x", 29<<10)
	pieces := []string{long + "…", "!err", long + "…", "end"}
	for range 12 {
		pieces = append(pieces, long+"…")
	}
	pieces = append(pieces, "tail")
	synctest.Test(t, func(t *testing.T) {
		got, acked := deliver(t, DeliveryOptions{MaxBytes: 1 << 20, MaxInterval: time.Second}, func(_ *Delivery, line func(...string)) {
			line(pieces...)
		})
		want := [][]string{{"err"}, {long + long + "end", strings.Repeat(long, 9), strings.Repeat(long, 3) + "tail"}}
		if diff := cmp.Diff(want, got, cmp.Transformer("length", func(s string) int { return len(s) })); diff != "" {
			t.Error(diff)
		}
		if acked != uint64(len(pieces)) {
			t.Errorf("%d records are acknowledged, want %d", acked, len(pieces))
		}
	})
}

// TestDeliveryOfOpenLines: a line that has no end yet does not keep for ever what comes after it from being acknowledged;
// the spool would fill up, and the job that has to end the line would wait for room.
func TestDeliveryOfOpenLines(t *testing.T) {
	text := strings.Repeat("x", 29<<10)
	var progress, both []string
	for range 2 * maxBehindBytes / len(text) {
		progress = append(progress, text)
	}
	for i := range 4 * maxBehindBytes / len(text) {
		// Both streams, the second half a line behind the first, so that one is open always.
		both = append(both, text+"…")
		if i >= maxLineBytes/len(text)/2 {
			both = append(both, "!"+text+"…")
		}
	}
	for name, words := range map[string][]string{
		"a line and many of the other stream": append([]string{"!progress…"}, progress...),
		"one of each stream":                  both,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				d := NewDelivery(ctx, DeliveryOptions{
					MaxBytes: 1 << 20, MaxInterval: time.Second, Send: func(context.Context, Chunk) ([]string, error) { return nil, nil },
				})
				written, behind, acked := 0, 0, uint64(0)
				for i, w := range words {
					if err := d.Write(ctx, logOf(1, w).batches[0], uint64(i+1), func(n uint64) { acked = n }); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					time.Sleep(time.Second)
					synctest.Wait()
					written += len(w)
					if acked == uint64(i+1) {
						behind = written
					}
					if written-behind > maxBehindBytes+2*len(text) {
						t.Fatalf("%d bytes after record %d are not acknowledged", written-behind, acked)
					}
				}
				cancel()
				d.Wait()
			})
		})
	}
}

// TestDeliveryKeepsTextsOnly: the lines of a job that prints one now and then do not keep their batches' memory.
func TestDeliveryKeepsTextsOnly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := NewDelivery(ctx, DeliveryOptions{
		MaxBytes: 1 << 20, MaxInterval: time.Hour, Send: func(context.Context, Chunk) ([]string, error) { return nil, nil },
	})
	const lines = 1000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range uint64(lines) {
		batch := logOf(1, "a line").batches[0]
		if err := d.Write(ctx, batch, i+1, func(uint64) {}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > lines*1024 {
		t.Errorf("%d short lines keep %d bytes", lines, n)
	}
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	d.Wait()
}

// TestDeliveryOfEmptyLines: lines with no text cost memory, too.
func TestDeliveryOfEmptyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, acked := deliver(t, DeliveryOptions{MaxBytes: 1, MaxInterval: time.Hour}, func(_ *Delivery, line func(...string)) {
			line(make([]string, 2*maxChunkLines)...)
		})
		want := []int{1, maxChunkLines, maxChunkLines - 1}
		var sizes []int
		for _, chunk := range got {
			sizes = append(sizes, len(chunk))
		}
		if diff := cmp.Diff(want, sizes); diff != "" {
			t.Error(diff)
		}
		if acked != 2*maxChunkLines {
			t.Errorf("%d records are acknowledged", acked)
		}
	})
}

func TestDeliveryHoldsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := NewDelivery(ctx, DeliveryOptions{MaxBytes: 1, MaxInterval: time.Second, Send: func(ctx context.Context, _ Chunk) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		writes := 0
		go func() {
			for d.Write(ctx, logOf(1, "line").batches[0], 1, func(uint64) {}) == nil {
				writes++
			}
		}()
		synctest.Wait()
		if writes > 4 {
			t.Errorf("%d lines were taken while none could be delivered", writes)
		}
		cancel()
		d.Wait()
	})
}

func TestDeliverySendError(t *testing.T) {
	want := errors.New("refused for good")
	synctest.Test(t, func(t *testing.T) {
		d := NewDelivery(t.Context(), DeliveryOptions{MaxBytes: 1, MaxInterval: time.Second, Send: func(context.Context, Chunk) ([]string, error) { return nil, want }})
		if err := d.Write(t.Context(), logOf(1, "line").batches[0], 1, func(uint64) {}); err != nil {
			t.Fatal(err)
		}
		if err := d.Flush(t.Context()); !errors.Is(err, want) {
			t.Errorf("Flush returned %v, want %v", err, want)
		}
	})
}

// TestDeliveryEndsWhileAChunkArrives: what has come where it belongs is told, also when the delivery has ended by then. Of two
// events that have come, either may be seen first, so it is tried a hundred times.
func TestDeliveryEndsWhileAChunkArrives(t *testing.T) {
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		var told Progress
		acked := uint64(0)
		d := NewDelivery(ctx, DeliveryOptions{
			MaxBytes: 1000, MaxInterval: time.Hour,
			Send: func(context.Context, Chunk) ([]string, error) {
				cancel()
				return nil, nil
			},
			Delivered: func(p Progress) { told = p },
		})
		if err := d.Write(t.Context(), logOf(1, "a").batches[0], 1, func(n uint64) { acked = n }); err != nil {
			t.Fatal(err)
		}
		d.Wait()
		if want := (Progress{Records: 1, At: 1, Lines: 1, Sent: 1}); told != want || acked != 1 {
			t.Fatalf("told %+v, acknowledged %d, want %+v", told, acked, want)
		}
	}
}

// TestDeliveryIsTakenUp: lines that somebody else has delivered are not delivered again, and their records count as
// delivered.
func TestDeliveryIsTakenUp(t *testing.T) {
	for _, c := range []struct {
		name        string
		lines, sent uint64
		after, at   uint64
		hole        bool
		words       []string
		want        [][]string
		told        Progress
	}{
		{"nothing was delivered", 0, 0, 0, 0, false, []string{"a", "b"}, [][]string{{"a"}, {"b"}}, Progress{2, 2, 2, 2}},
		{"a part was", 2, 3, 0, 0, false, []string{"a", "b", "c"}, [][]string{{"c"}}, Progress{3, 3, 3, 4}},
		{"all was", 2, 2, 0, 0, false, []string{"a", "b"}, nil, Progress{2, 2, 2, 2}},
		{"more was than there is", 3, 3, 0, 0, false, []string{"a", "b"}, nil, Progress{2, 2, 3, 3}},
		{"the beginning is missing", 11, 11, 0, 10, true, []string{"x", "y"}, [][]string{{"y"}}, Progress{2, 12, 12, 12}},
		{"a part behind the beginning is", 10, 10, 1, 10, true, []string{"a", "y"}, [][]string{{"y"}}, Progress{2, 11, 11, 11}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var chunks [][]string
			var told Progress
			acked := uint64(0)
			next := c.sent + 1
			d := NewDelivery(ctx, DeliveryOptions{
				MaxBytes: 100, MaxInterval: time.Hour, Lines: c.lines, Sent: c.sent,
				Hole: func() (uint64, uint64, bool) { return c.after, c.at, c.hole },
				Send: func(_ context.Context, chunk Chunk) ([]string, error) {
					if chunk.FirstLine != next {
						t.Errorf("a chunk begins with line %d, want %d", chunk.FirstLine, next)
					}
					next += uint64(len(chunk.Lines))
					var lines []string
					for _, l := range chunk.Lines {
						lines = append(lines, string(l))
					}
					chunks = append(chunks, lines)
					return nil, nil
				},
				Delivered: func(p Progress) { told = p },
			})
			for i, w := range c.words {
				if err := d.Write(ctx, logOf(1, w).batches[0], uint64(i+1), func(n uint64) { acked = n }); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			d.Wait()
			if diff := cmp.Diff(c.want, chunks); diff != "" {
				t.Errorf("chunks (-want +got):\n%s", diff)
			}
			if told != c.told || acked != uint64(len(c.words)) {
				t.Errorf("told %+v, want %+v; acknowledged %d", told, c.told, acked)
			}
		})
	}
}

// TestDeliveryTellsOwnLinesApart: what core has to say about the delivery has a number, and is no line of the log.
func TestDeliveryTellsOwnLinesApart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var told Progress
	said := false
	d := NewDelivery(ctx, DeliveryOptions{
		MaxBytes: 100, MaxInterval: time.Hour,
		Send: func(context.Context, Chunk) ([]string, error) {
			if said {
				return nil, nil
			}
			said = true
			return []string{"lines were lost"}, nil
		},
		Delivered: func(p Progress) { told = p },
	})
	for i, w := range []string{"a", "b"} {
		if err := d.Write(ctx, logOf(1, w).batches[0], uint64(i+1), func(uint64) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	d.Wait()
	if want := (Progress{Records: 2, At: 2, Lines: 2, Sent: 3}); told != want {
		t.Errorf("told %+v, want %+v", told, want)
	}
}
