package kubernetes

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// bounded gives every request to the API server a deadline, its answer included, but for watches, which have no end. A
// client's own timeout would cut those, too. Connections that are handed over, as port-forwards are, do not come here.
type bounded struct {
	next http.RoundTripper
	// timeout is 0 for callers that have deadlines of their own.
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.timeout == 0 || r.URL.Query().Get("watch") == "true" {
		return b.next.RoundTrip(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), b.timeout)
	res, err := b.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		defer cancel()
		if ctx.Err() != nil && r.Context().Err() == nil {
			return nil, fmt.Errorf("no answer within request_timeout (%s): %w", b.timeout, ctx.Err())
		}
		return nil, err
	}
	res.Body = &boundedBody{res.Body, cancel}
	return res, nil
}

// CloseIdleConnections is what http.Client looks for.
func (b *bounded) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// boundedBody lets go of the deadline when the answer has been read.
type boundedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
