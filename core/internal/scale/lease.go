package scale

import (
	"bytes"
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is the Lease as the elector has it: it bounds each call, tells of what fails, looks at the lease of another runner
// more often than the elector would, and resigns as soon as another runner has the lease of this one.
type lease struct {
	resourcelock.LeaseLock
	scaler *Scaler
	// resign ends the candidacy.
	resign context.CancelFunc

	// held: this runner has had the lease.
	held bool
	// seen is the record of another runner, and since is when it was first seen. Its age is measured by this machine's
	// clock alone.
	seen  []byte
	since time.Time
	// holder is who was last told of.
	holder string
}

// errLost says that another runner has the lease of this one.
var errLost = errors.New("the lease is not this runner's any more")

func (s *Scaler) newLease(resign context.CancelFunc) *lease {
	return &lease{scaler: s, resign: resign, LeaseLock: resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: s.Settings.Namespace, Name: s.Settings.Deployment},
		Client:     s.Client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: s.Settings.Pod},
	}}
}

// Get returns the record once there is a reason to try for the lease, if this runner does not have it yet. One that has
// expired is returned as one without a holder; that nobody else has taken it in the meantime, its resource version sees to.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ticker := time.NewTicker(l.scaler.times.look)
	defer ticker.Stop()
	for {
		record, raw, err := l.get(ctx)
		if err == nil && l.held && record.HolderIdentity != l.Identity() {
			// Left to itself, the elector would lead on until it has failed to renew for long enough, and then give back what
			// it does not have.
			l.resign()
			return nil, nil, errLost
		}
		if err != nil || l.held || l.free(record, raw) {
			return record, raw, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

func (l *lease) get(ctx context.Context) (record *resourcelock.LeaderElectionRecord, raw []byte, err error) {
	err = l.call(ctx, "read the Lease", func(ctx context.Context) error {
		record, raw, err = l.LeaseLock.Get(ctx)
		return err
	})
	return record, raw, err
}

// free reports whether there is a reason to try for the lease.
func (l *lease) free(record *resourcelock.LeaderElectionRecord, raw []byte) bool {
	if record.HolderIdentity == "" || record.HolderIdentity == l.Identity() {
		return true
	}
	if l.holder != record.HolderIdentity {
		l.holder = record.HolderIdentity
		l.scaler.Logger.Info("another runner scales the Deployment", "leader", l.holder)
	}
	if !bytes.Equal(l.seen, raw) {
		l.seen, l.since = raw, time.Now()
	}
	if time.Since(l.since) < time.Duration(record.LeaseDurationSeconds)*time.Second {
		return false
	}
	record.HolderIdentity = ""
	return true
}

// Create makes the Lease, as this runner's.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.take(l.call(ctx, "create the Lease", func(ctx context.Context) error { return l.LeaseLock.Create(ctx, record) }))
}

// Update takes the lease, renews it, or gives it back.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.take(l.call(ctx, "update the Lease", func(ctx context.Context) error { return l.LeaseLock.Update(ctx, record) }))
}

func (l *lease) take(err error) error {
	l.held = l.held || err == nil
	return err
}

// call makes a call and tells what comes of it. That there is no Lease yet, or that another runner was faster, is no
// failure.
func (l *lease) call(ctx context.Context, doing string, try func(context.Context) error) error {
	trying, cancel := context.WithTimeout(ctx, l.scaler.times.call)
	defer cancel()
	err := try(trying)
	switch {
	case err == nil:
		l.scaler.worked(doing)
	case ctx.Err() != nil, apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), doing == "read the Lease" && apierrors.IsNotFound(err):
	default:
		l.scaler.failed("elect", doing, explain(err, "namespace"))
	}
	return err
}
