package sdktest

import (
	"errors"
	"testing"

	"github.com/podrunner/runner/sdk/protocol"
)

// Program is a processor's program that runs, for tests that ask more of it than [Conformance]. It is for one goroutine: its
// jobs run one after the other.
type Program struct {
	subject *subject
}

// Start starts a program as core does, and ends it with the test. It fails the test at once when the program does not
// start or refuses the configuration.
func Start(t testing.TB, b Binary) *Program {
	t.Helper()
	s, err := newSubject(t.Context(), b)
	if err != nil {
		t.Fatalf("sdktest.Start: %v", err)
	}
	t.Cleanup(func() { s.stop() }) // of the process that runs then
	return &Program{s}
}

// Run gives the lines of a job to the program and returns what comes out. The configuration is that of the Binary; of the
// job's Config nothing is taken, and of its Info the ID and the Secrets. It fails the test at once when the processor
// returns an error, dies, or takes longer than a minute.
func (p *Program) Run(t testing.TB, job Job, lines ...Line) *Result {
	t.Helper()
	x := &progress{}
	if err := pass(t.Context(), p.subject.conn, p.script(job, lines, protocol.MaxBatchLines), x, -1); err != nil {
		t.Fatalf("sdktest: run a job in %s: %v", p.subject.binary.Path, err)
	}
	return resultOf(x)
}

// Crash is Run, but the process is killed after each batch of one line, and the job goes on in a new one.
func (p *Program) Crash(t testing.TB, job Job, lines ...Line) *Result {
	t.Helper()
	s := p.script(job, lines, 1)
	x := &progress{}
	for x.acked < len(s.batches) {
		if err := pass(t.Context(), p.subject.conn, s, x, x.acked+1); err != nil && !errors.Is(err, errStopped) {
			t.Fatalf("sdktest: run a job in %s: %v", p.subject.binary.Path, err)
		}
		p.subject.kill()
		if err := p.subject.renew(t.Context()); err != nil {
			t.Fatalf("sdktest: start %s again: %v", p.subject.binary.Path, err)
		}
	}
	if err := pass(t.Context(), p.subject.conn, s, x, -1); err != nil {
		t.Fatalf("sdktest: end a job in %s: %v", p.subject.binary.Path, err)
	}
	return resultOf(x)
}

func (p *Program) script(job Job, lines []Line, maxLines int) *script {
	x := p.subject.script(job.Info.ID, lines, maxLines, protocol.WindowBatches)
	if p.subject.description.Processor.GetNeedsSecrets() {
		x.open.Secrets = secretsOf(job.Info.Secrets)
	}
	if job.End.Outcome != "" {
		x.result = protoOf(job.End)
	}
	return x
}
