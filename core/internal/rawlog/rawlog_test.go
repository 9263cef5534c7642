package rawlog_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/podrunner/runner/core/internal/rawlog"
	"github.com/podrunner/runner/core/internal/record"
)

func TestLog(t *testing.T) {
	at := time.Unix(1, 2)
	log := rawlog.New(func() time.Time { return at })
	log.Add("out", iotest.OneByteReader(strings.NewReader("a\n\nlast")), 0)
	log.Add("err", strings.NewReader("oops\n"), record.Stderr)
	var got []string
	for {
		batch, err := log.Next(t.Context())
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		for _, r := range batch.All {
			if !r.When().Equal(at) {
				t.Errorf("time is %s", r.When())
			}
			got = append(got, strings.Repeat("!", int(r.Flags))+string(r.Text))
		}
	}
	if want := []string{"a", "", "last", "!oops"}; !slices.Equal(got, want) || log.Records() != 4 {
		t.Errorf("%q, %d records; want %q", got, log.Records(), want)
	}
}

func TestReadError(t *testing.T) {
	log := rawlog.New(nil)
	log.Add("out.log", iotest.ErrReader(errors.New("disk")), 0)
	if _, err := log.Next(t.Context()); err == nil || err.Error() != "read out.log: disk" {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
