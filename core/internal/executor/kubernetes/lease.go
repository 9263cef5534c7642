package kubernetes

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// leaseDuration is how long a runner counts as alive that has not renewed its Lease, renewEvery how often it does: two
	// renewals may fail.
	leaseDuration = 15 * time.Second
	renewEvery    = 5 * time.Second
)

// lease says that a runner lives. Its methods are for one goroutine at a time.
type lease struct {
	client    kubernetes.Interface
	namespace string
	log       hclog.Logger
	// is what the Lease is to be; of what there is, only the version is kept.
	is *coordinationv1.Lease
	// told says that somebody else was seen to hold it.
	told bool
}

func newLease(e *Executor) *lease {
	holder := e.opts.Runner + "/" + e.instance
	seconds := int32(leaseDuration / time.Second)
	return &lease{
		client: e.client, namespace: e.namespace, log: e.opts.Logger,
		is: &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Name: leaseName(e.opts.Source, e.opts.Runner),
				Labels: map[string]string{
					labelName: leaseApp, labelManagedBy: managedBy(e.opts.Runner), labelOrigin: labelValue(e.opts.Source),
				},
				Annotations: map[string]string{annotationRunner: e.opts.Runner, annotationSource: e.opts.Source},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds},
		},
	}
}

// take makes the Lease, or takes the one that an earlier process of this name has left.
func (l *lease) take(ctx context.Context) error {
	return retry(ctx, func(ctx context.Context) error {
		l.renewed()
		there, err := l.client.CoordinationV1().Leases(l.namespace).Create(ctx, l.is, metav1.CreateOptions{})
		if err == nil {
			l.is.ResourceVersion = there.ResourceVersion
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the runner's Lease: %w", err)
		}
		if _, err = l.overwrite(ctx); apierrors.IsNotFound(err) && !noNamespace.MatchString(err.Error()) {
			return &passing{err} // it has been removed just now
		}
		return err
	})
}

// overwrite takes the Lease, whoever holds it, and tells who did.
func (l *lease) overwrite(ctx context.Context) (holder string, err error) {
	there, err := l.client.CoordinationV1().Leases(l.namespace).Get(ctx, l.is.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("look at the runner's Lease: %w", err)
	}
	if there.Spec.HolderIdentity != nil {
		holder = *there.Spec.HolderIdentity
	}
	l.is.ResourceVersion = there.ResourceVersion
	return holder, l.update(ctx)
}

func (l *lease) update(ctx context.Context) error {
	l.renewed()
	there, err := l.client.CoordinationV1().Leases(l.namespace).Update(ctx, l.is, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("renew the runner's Lease: %w", err)
	}
	l.is.ResourceVersion = there.ResourceVersion
	return nil
}

func (l *lease) renewed() {
	now := metav1.NowMicro()
	l.is.Spec.RenewTime = &now
}

// keep renews the Lease until ctx ends.
func (l *lease) keep(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("the runner's Lease could not be renewed; when that lasts, others take its jobs over", "lease", l.is.Name, "error", err)
		}
	}
}

// renew renews the Lease, and takes it back from another process, which can only be one of the same name.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewEvery)
	defer cancel()
	err := l.update(ctx)
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		l.is.ResourceVersion = ""
		return l.take(ctx)
	case !apierrors.IsConflict(err):
		return err
	}
	holder, err := l.overwrite(ctx)
	if holder != "" && holder != *l.is.Spec.HolderIdentity && !l.told { // else a renewal has come through whose answer was lost
		l.told = true
		l.log.Error("another runner has the same name and takes jobs of the same source; give each runner a name of its own", "lease", l.is.Name)
	}
	return err
}

// remove removes the Lease: a runner that has none is gone at once. One that another process has taken stays.
func (l *lease) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	api := l.client.CoordinationV1().Leases(l.namespace)
	for version := l.is.ResourceVersion; ; {
		err := api.Delete(ctx, l.is.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		var there *coordinationv1.Lease
		if apierrors.IsConflict(err) {
			there, err = api.Get(ctx, l.is.Name, metav1.GetOptions{})
		}
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return fmt.Errorf("remove the runner's Lease: %w", err)
		case there.Spec.HolderIdentity == nil || *there.Spec.HolderIdentity != *l.is.Spec.HolderIdentity:
			return nil
		}
		version = there.ResourceVersion // the last renewal was broken off, and has come through
	}
}
