package kubernetes

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
)

func TestNewDialer(t *testing.T) {
	for _, c := range []struct {
		transport string
		inCluster bool
		direct    bool
	}{
		{"auto", true, true},
		{"auto", false, false},
		{"", true, true},
		{"direct", false, true},
		{"direct", true, true},
		{"port_forward", true, false},
		{"port_forward", false, false},
	} {
		d := newDialer(&access{config: &rest.Config{}, inCluster: c.inCluster}, c.transport)
		if _, got := d.(*direct); got != c.direct {
			t.Errorf("transport %q, in the cluster %v: %T", c.transport, c.inCluster, d)
		}
		for _, pod := range []*corev1.Pod{
			{},
			{Spec: corev1.PodSpec{NodeName: "n"}},
			{Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{PodIP: "10.0.0.1"}},
		} {
			want := pod.Spec.NodeName != ""
			if c.direct {
				want = pod.Status.PodIP != ""
			}
			if got := d.ready(pod); got != want {
				t.Errorf("%T is ready for the pod on %q at %q: %v", d, pod.Spec.NodeName, pod.Status.PodIP, got)
			}
		}
	}
}

func TestDirect(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6:", err)
	}
	defer listener.Close() //nolint:errcheck // nobody waits for it
	d := &direct{}
	pod := &corev1.Pod{Status: corev1.PodStatus{PodIP: "::1"}}
	conn, err := d.dial(t.Context(), pod, listener.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it listens on TCP
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// oldServer is an API server that has SPDY alone. What comes over the connection goes back in upper case; when it is
// "refuse", the reason for the end comes over the stream for errors.
func oldServer(t *testing.T) *httptest.Server {
	t.Helper()
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/jobs/pods/x/portforward" {
			t.Errorf("asks for %s", r.URL.Path)
		}
		if r.Method != http.MethodPost { // WebSocket
			http.Error(w, "upgrade request required", http.StatusBadRequest)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			t.Error(err)
			return
		}
		streams := make(chan httpstream.Stream, 2)
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			streams <- s
			return nil
		})
		if conn == nil {
			t.Error("the upgrade failed")
			return
		}
		defer conn.Close() //nolint:errcheck // the other end closes it, too
		errs, data := <-streams, <-streams
		if errs.Headers().Get(corev1.StreamType) != corev1.StreamTypeError || data.Headers().Get(corev1.PortHeader) != "23517" {
			t.Errorf("streams with %v and %v", errs.Headers(), data.Headers())
		}
		b := make([]byte, 100)
		n, _ := data.Read(b)
		if string(b[:n]) == "refuse" {
			_, _ = io.WriteString(errs, "nothing listens on the port")
			_ = errs.Close()
		} else {
			_, _ = io.WriteString(data, strings.ToUpper(string(b[:n])))
		}
		<-conn.CloseChan()
	}))
}

func forwarderTo(address string) *portForward {
	return newPortForward(&access{config: &rest.Config{Host: address}})
}

func aPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "jobs"}}
}

func TestPortForward(t *testing.T) {
	server := oldServer(t)
	defer server.Close()
	f := forwarderTo(server.URL)
	for range 2 { // the second time it is known that the server is old
		conn, err := f.dial(t.Context(), aPod(), agentPort)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HELLO" {
			t.Errorf("got %q, %v", b, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if !f.oldServer.Load() {
		t.Error("WebSocket is tried each time")
	}
}

func TestPortForwardSaysWhyItEnds(t *testing.T) {
	server := oldServer(t)
	defer server.Close()
	conn, err := forwarderTo(server.URL).dial(t.Context(), aPod(), agentPort)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it has ended
	if _, err := io.WriteString(conn, "refuse"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("the end is %v", err)
	}
}

// TestPortForwardThatIsNotAnswered has a server that takes the connection, and says nothing.
func TestPortForwardThatIsNotAnswered(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nobody waits for it
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err = forwarderTo("http://"+listener.Addr().String()).dial(ctx, aPod(), agentPort)
	if err == nil || time.Since(begun) > 5*time.Second {
		t.Errorf("error %v after %s", err, time.Since(begun))
	}
}

func TestPortForwardThatIsRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `User "x" cannot create resource "pods/portforward"`, http.StatusForbidden)
	}))
	defer server.Close()
	_, err := forwarderTo(server.URL).dial(t.Context(), aPod(), agentPort)
	if err == nil || !strings.Contains(err.Error(), "pods/portforward") {
		t.Errorf("error %v", err)
	}
}

// TestConnect has a pod that can't be reached at first, and one that is gone.
func TestConnect(t *testing.T) {
	e := executorOf(t, cluster(t), &direct{})
	r := runOf(t, e)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no pod: %v", err)
	}
	r.pod.is(podOf("a", "n"))
	r.pod.see(podOf("a", "n"), true)
	if _, err := r.connect(t.Context()); !errors.Is(err, errPodEnded) {
		t.Errorf("with a pod that is gone: %v", err)
	}
}
