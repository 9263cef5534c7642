package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/test/bench/internal/measure"
)

const (
	// openJobs is how many jobs are open at once.
	openJobs = 1000
	// openWait bounds the start of all of them.
	openWait = 3 * time.Minute
)

// measureOpen has a thousand jobs open at once: each prints a line, waits until all of them run, prints another, and ends. What
// core and its plugins take of memory is read when all wait, and compared with what they take when there is no job.
func measureOpen(ctx context.Context, w *workload, t *table) error {
	gate := filepath.Join(w.dir, "gate")
	one, err := openAtOnce(ctx, w, 1, gate)
	if err != nil {
		return err
	}
	all, err := openAtOnce(ctx, w, openJobs, gate)
	if err != nil {
		return err
	}
	each := func(all, one float64) float64 { return (all - one) / (openJobs - 1) }
	t.count("core run, 1 job open, memory of core", "MiB", one.core)
	t.count(fmt.Sprintf("core run, %d jobs open, memory of core", openJobs), "MiB", all.core)
	t.count(fmt.Sprintf("core run, %d jobs open, memory of core for each more", openJobs), "MiB", each(all.core, one.core))
	t.count(fmt.Sprintf("core run, %d jobs open, peak memory of core for each more", openJobs), "MiB", each(all.peak, one.peak))
	t.count(fmt.Sprintf("core run, %d jobs open, memory of its 4 plugins for each more", openJobs), "MiB", each(all.plugins, one.plugins))
	t.count(fmt.Sprintf("core run, %d jobs open, CPU of core and plugins while they wait", openJobs), "s/s", all.idle)
	t.count(fmt.Sprintf("core run, %d jobs, the first offered to the last open", openJobs), "s", all.began.Seconds())
	t.count(fmt.Sprintf("core run, %d jobs, the gate opened to the last reported", openJobs), "s", all.ended.Seconds())
	return nil
}

// opened is what is measured of jobs that are open at once. Memory is what is resident, in MiB.
type opened struct {
	core, peak, plugins float64
	// idle is the CPU time of core and its plugins while nothing happens, in seconds a second.
	idle         float64
	began, ended time.Duration
}

// idleTime is how long is looked on while all jobs wait.
const idleTime = 3 * time.Second

// openAtOnce has n jobs open at once, behind a gate that a lock of the file keeps closed.
func openAtOnce(ctx context.Context, w *workload, n int, gate string) (m opened, err error) {
	lock, err := os.Create(gate)
	if err != nil {
		return m, err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return m, fmt.Errorf("close the gate: %w", err)
	}
	var jobs []serviceJob
	for i := range n {
		jobs = append(jobs, serviceJob{ID: strconv.Itoa(i + 1), Commands: []string{"echo open", "flock -s " + gate + " true", "echo over"}})
	}
	s, err := newService(w, fmt.Sprint("open", n), serviceOptions{concurrency: n}, jobs)
	if err != nil {
		return m, err
	}
	begun := time.Now()
	if err := s.start(ctx); err != nil {
		return m, err
	}
	if err := s.untilOpen(ctx, n); err != nil {
		s.cancel()
		_, waitErr := s.wait()
		return m, errors.Join(err, waitErr)
	}
	m.began = time.Since(begun)
	err = m.look(ctx, s.cmd.Process.Pid)
	begun = time.Now()
	err = errors.Join(err, lock.Close())
	if _, waitErr := s.wait(); waitErr != nil {
		return m, errors.Join(err, waitErr)
	}
	m.ended = time.Since(begun)
	for _, j := range jobs {
		if _, err := s.result(j.ID); err != nil {
			return m, err
		}
	}
	return m, err
}

// untilOpen waits until the first lines of all jobs are at the source.
func (s *service) untilOpen(ctx context.Context, n int) error {
	deadline := time.Now().Add(openWait)
	for {
		open := 0
		for i := range n {
			if info, err := os.Stat(s.log(strconv.Itoa(i + 1))); err == nil && info.Size() > 0 {
				open++
			}
		}
		switch {
		case open == n:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("only %d jobs of %d are open after %s", open, n, openWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond): // the source tells nobody
		}
	}
}

// look measures core and its plugins while all jobs wait.
func (m *opened) look(ctx context.Context, core int) error {
	before, err := usage(core)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idleTime):
	}
	after, err := usage(core)
	m.core, m.peak, m.plugins = after.core, after.peak, after.plugins
	m.idle = (after.cpu - before.cpu) / idleTime.Seconds()
	return err
}

// usages is what core and its plugins have needed by now; memory in MiB, CPU time in seconds.
type usages struct{ core, peak, plugins, cpu float64 }

func usage(core int) (u usages, err error) {
	own, err := measure.ProcessOf(core)
	if err != nil {
		return u, err
	}
	u.core, u.peak, u.cpu = float64(own.Resident)/(1<<20), float64(own.Peak)/(1<<20), own.CPU.Seconds()
	for _, pid := range measure.Children(core) {
		p, err := measure.ProcessOf(pid)
		if err == nil && p.Name != "runner-helper" {
			u.plugins += float64(p.Resident) / (1 << 20)
			u.cpu += p.CPU.Seconds()
		}
	}
	return u, nil
}
