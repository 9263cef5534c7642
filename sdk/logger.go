package sdk

import (
	"context"

	"github.com/hashicorp/go-hclog"
)

// Logger returns the plugin's logger. Under a context that a processor has been called with, what it logs says which
// job it is about. Levels that core has switched off cost next to nothing. Lines of a job and values of
// [Sensitive] type do not belong into a log.
func Logger(ctx context.Context) hclog.Logger {
	return hclog.FromContext(ctx)
}
