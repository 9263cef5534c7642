package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// closeGrace is what the containers of a pod have, in seconds, that is deleted when its job is over: nothing that counts
// runs in it any more.
const closeGrace = 1

// Close implements executor.Run. It returns when the pod is gone, so that nothing of the job runs any more. It
// may be called again, to try again.
func (r *run) Close(ctx context.Context) error {
	err := r.stop()
	defer r.e.pods.forget(r.pod)
	r.mu.Lock()
	left := r.left
	r.mu.Unlock()
	if r.e.opts.Keep || left {
		return err
	}
	return errors.Join(err, r.delete(ctx))
}

// letGo ends all that runs for the run, and leaves the pod alone.
func (r *run) letGo() error {
	defer r.e.pods.forget(r.pod)
	return r.stop()
}

// stop ends all that runs for the run.
func (r *run) stop() error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.mu.Unlock()
	r.end()
	<-r.supervised
	r.helpers.Wait()
	if r.client != nil && !again {
		return r.client.Close()
	}
	return nil
}

// delete deletes the objects, all at once, and waits for the pod to go.
func (r *run) delete(ctx context.Context) error {
	api := r.e.client.CoreV1()
	name, ns := r.objects.name, r.e.namespace
	var errs [3]error
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = r.deletePod(ctx, closeGrace) })
	wg.Go(func() {
		errs[1] = deleteOne(ctx, "Secret", name, func(ctx context.Context) error {
			return api.Secrets(ns).Delete(ctx, name, metav1.DeleteOptions{})
		})
	})
	wg.Go(func() {
		errs[2] = deleteOne(ctx, "ConfigMap", name, func(ctx context.Context) error {
			return api.ConfigMaps(ns).Delete(ctx, name, metav1.DeleteOptions{})
		})
	})
	wg.Wait()
	if errs[0] != nil { // nothing has told the pod to go
		return errors.Join(errs[:]...)
	}
	return errors.Join(append(errs[:], r.awaitGone(ctx))...)
}

func (r *run) deletePod(ctx context.Context, grace int64) error {
	return deleteOne(ctx, "pod", r.objects.name, func(ctx context.Context) error {
		return r.e.client.CoreV1().Pods(r.e.namespace).Delete(ctx, r.objects.name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	})
}

// deleteOne deletes an object. One that is not there is no error.
func deleteOne(ctx context.Context, kind, name string, call func(context.Context) error) error {
	err := retry(ctx, call)
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("delete %s %q: %w", kind, name, err)
}

// awaitGone waits until the pod, if it was ever made, is no more.
func (r *run) awaitGone(ctx context.Context) error {
	for {
		pod, gone := r.pod.latest()
		if pod == nil || gone {
			return nil
		}
		select {
		case <-r.pod.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for pod %q to go: %w; it has been told to end, and goes when its node answers", pod.Name, context.Cause(ctx))
		}
	}
}
