package engine

import (
	"context"
	"fmt"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// sendTimeout is how long a source may leave its stream unread. One that lives reads at once, whatever else it waits for.
const sendTimeout = 30 * time.Second

// outlet is what is sent on a source's stream. It belongs to one goroutine.
type outlet struct {
	stream pluginv1.Source_JobsClient
	// ctx is the stream's; end ends it.
	ctx     context.Context //nolint:containedctx // it goes with the stream
	end     context.CancelCauseFunc
	timeout time.Duration
}

// send sends a message. A source that does not read has its stream ended: there is room for some hundred messages, and who
// waits for more of it hears nothing else.
func (o *outlet) send(m *pluginv1.JobsRequest) error {
	timer := time.AfterFunc(o.timeout, func() {
		o.end(&unreadError{o.timeout})
	})
	defer timer.Stop()
	err := o.stream.Send(m)
	if unread, ok := context.Cause(o.ctx).(*unreadError); ok && err != nil { //nolint:errorlint // it is set above
		return unread
	}
	return err
}

// unreadError says that a source does not read what it is sent.
type unreadError struct{ wait time.Duration }

func (e *unreadError) Error() string {
	return fmt.Sprintf("the source has not read the stream Jobs for %s", e.wait)
}
