package engine

import (
	"context"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// SourceConnector reaches a source, whatever process it is at the time.
type SourceConnector interface {
	// Connect returns the source's current process. It waits while there is none because it is being restarted; an error
	// says that there is none for now.
	Connect(ctx context.Context) (SourceConnection, error)
}

// SourceConnection is one process of a source.
type SourceConnection interface {
	Client() pluginv1.SourceClient
	// Progress says that the process has done work: it was not in vain to start it.
	Progress()
	// Explain makes an error of a call into one that says what became of the process, if it is gone.
	Explain(ctx context.Context, call string, err error) error
}

// RefusedError is what Explain makes of an error by which a source says that its remote system will never take a result.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return e.Message }
