package pluginhost

import "time"

// Limits are deadlines and counts. The zero value of a field stands for its default.
type Limits struct {
	// Start is the time from the start of a process to its answer to Describe, and the time to answer Validate, which
	// does no I/O. Default 10 s.
	Start time.Duration
	// Configure is the time that a process has to take on its configuration. Default 60 s.
	Configure time.Duration
	// Stop is the time that a plugin has for Drain and Shutdown when the host closes. Default 10 s.
	Stop time.Duration
	// Grace is the time from the end of Shutdown to TERM, and from TERM to KILL. Default 2 s.
	Grace time.Duration

	// HealthInterval is the time between two health checks. Default 15 s.
	HealthInterval time.Duration
	// HealthTimeout is the time that a plugin has to answer one. Default 5 s.
	HealthTimeout time.Duration
	// HealthMisses is the number of checks in a row without an answer after which the process is killed. Default 3.
	HealthMisses int

	// Restart is the delay before the second restart in a row; it doubles with each one, up to RestartMax. The first
	// restart is at once. Defaults 1 s and 60 s.
	Restart, RestartMax time.Duration
	// Healthy is how long a process must have lived to count as a good one though nobody reported progress. Default 5 min.
	Healthy time.Duration
	// Failures is the number of ends in a row, without progress, at which the circuit opens. Default 10.
	Failures int
	// Retry is how long an open circuit waits before it tries one more start. Default 5 min.
	Retry time.Duration
}

func (l Limits) orDefaults() Limits {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&l.Start, 10 * time.Second},
		{&l.Configure, time.Minute},
		{&l.Stop, 10 * time.Second},
		{&l.Grace, 2 * time.Second},
		{&l.HealthInterval, 15 * time.Second},
		{&l.HealthTimeout, 5 * time.Second},
		{&l.Restart, time.Second},
		{&l.RestartMax, time.Minute},
		{&l.Healthy, 5 * time.Minute},
		{&l.Retry, 5 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if l.HealthMisses == 0 {
		l.HealthMisses = 3
	}
	if l.Failures == 0 {
		l.Failures = 10
	}
	return l
}
