package pluginhost

import "github.com/hashicorp/go-hclog"

// quiet is go-plugin's logger. All that it has to say is for those who look into the matter: what matters to others,
// this package says itself.
type quiet struct{ hclog.Logger }

func (q quiet) Log(_ hclog.Level, msg string, args ...any) { q.Trace(msg, args...) }
func (q quiet) Debug(msg string, args ...any)              { q.Trace(msg, args...) }
func (q quiet) Info(msg string, args ...any)               { q.Trace(msg, args...) }
func (q quiet) Warn(msg string, args ...any)               { q.Trace(msg, args...) }
func (q quiet) Error(msg string, args ...any)              { q.Trace(msg, args...) }
func (q quiet) With(args ...any) hclog.Logger              { return quiet{q.Logger.With(args...)} }
func (q quiet) Named(name string) hclog.Logger             { return quiet{q.Logger.Named(name)} }
func (q quiet) ResetNamed(name string) hclog.Logger        { return quiet{q.Logger.ResetNamed(name)} }
