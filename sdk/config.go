package sdk

import "context"

// Validator is implemented by (a pointer to) a configuration that has more to check than its tags say.
type Validator interface {
	// Validate sees the configuration with its defaults. It does no I/O: no network, no files.
	Validate(d *Diagnostics)
}

// Configurer is implemented by (a pointer to) a configuration that does something once in a process, before the first
// job: read a file, open a connection. What it makes it keeps in unexported fields of the configuration, which goes to
// every job. If it is an io.Closer, too, it is closed when core shuts the plugin down.
type Configurer interface {
	// Configure is called after Validate has found no error, and may do I/O until ctx ends.
	Configure(ctx context.Context, d *Diagnostics)
}
