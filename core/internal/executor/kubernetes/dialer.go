package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// dialer connects to the helper in a pod.
type dialer interface {
	// ready tells whether enough is known of the pod to try.
	ready(pod *corev1.Pod) bool
	// dial connects to a port of the pod.
	dial(ctx context.Context, pod *corev1.Pod, port int) (net.Conn, error)
}

// newDialer returns the dialer of a transport of config.Transports. Inside a cluster a pod's address can be reached, as a
// rule; from outside the API server forwards to it.
func newDialer(a *access, transport string) dialer {
	if transport == "direct" || transport != "port_forward" && a.inCluster {
		return &direct{net.Dialer{Timeout: dialTimeout}}
	}
	return newPortForward(a)
}

// direct dials the pod's address.
type direct struct{ net net.Dialer }

func (d *direct) ready(pod *corev1.Pod) bool { return pod.Status.PodIP != "" }

func (d *direct) dial(ctx context.Context, pod *corev1.Pod, port int) (net.Conn, error) {
	return d.net.DialContext(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port)))
}

// errPodEnded says that there is nobody to connect to any more.
var errPodEnded = errors.New("the pod has ended")

// connect waits until the pod can be dialled, and dials it.
func (r *run) connect(ctx context.Context) (net.Conn, error) {
	for {
		pod, gone := r.pod.latest()
		switch {
		case gone:
			return nil, errPodEnded
		case pod != nil && r.e.dialer.ready(pod):
			conn, err := r.e.dialer.dial(ctx, pod, agentPort)
			if err != nil {
				return nil, fmt.Errorf("connect to the helper of pod %q: %w", pod.Name, err)
			}
			return conn, nil
		}
		select {
		case <-r.reachable:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
