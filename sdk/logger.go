package sdk

import (
	"context"

	"github.com/hashicorp/go-hclog"
)

// Logger returns the plugin's logger, which is safe for concurrent use. Under a context that is about a job, what it logs
// says about which. Levels that core has switched off cost next to nothing. Lines of a job and values of [Sensitive] type
// do not belong in a log.
func Logger(ctx context.Context) hclog.Logger {
	return hclog.FromContext(ctx)
}
