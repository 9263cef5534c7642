package sdk

import "context"

// Validator is implemented by (a pointer to) a configuration that has more to check than its tags say.
type Validator interface {
	// Validate sees the configuration with its defaults. It does no I/O: no network, no files.
	Validate(d *Diagnostics)
}

// Configurer is implemented by (a pointer to) a configuration that does something once in a process, before the first
// job: read a file, open a connection. What it makes it keeps in unexported fields of the configuration, of which every job
// gets a copy: so they are pointers, or are not changed, and what is behind them is used by several goroutines at once. If
// the configuration is an io.Closer, too, it is closed when core shuts the plugin down.
type Configurer interface {
	// Configure is called after Validate has found no error, and may do I/O until ctx ends. With an Error in d the plugin
	// is not used.
	Configure(ctx context.Context, d *Diagnostics)
}
