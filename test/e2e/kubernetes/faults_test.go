package kubernetes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
)

// printing is how long the job of a fault prints; cuts is how often its connection is cut.
const (
	printing = 60 * time.Second
	cuts     = 20
)

// printer is a job that prints numbered lines for a time, in bursts.
func printer(d time.Duration) string {
	return job([]string{
		"set +x",
		fmt.Sprintf("end=$(($(date +%%s) + %d)); n=0", int(d.Seconds())),
		"while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 20 ]; do n=$((n+1)); i=$((i+1)); echo line $n; done; sleep 0.05; done",
		"echo total $n",
	})
}

// numbered fails the test unless the log is all lines of a printer, each once and in order.
func (r *result) numbered() {
	r.t.Helper()
	lines := r.lines()
	if len(lines) < 2 {
		r.t.Fatalf("the log is %q", lines)
	}
	for i, line := range lines[:len(lines)-1] {
		if line != fmt.Sprintf("line %d", i+1) {
			r.t.Fatalf("line %d of the log is %q", i+1, line)
		}
	}
	if want := fmt.Sprintf("total %d", len(lines)-1); lines[len(lines)-1] != want {
		r.t.Errorf("the log ends with %q, want %q", lines[len(lines)-1], want)
	}
	r.t.Logf("%d lines", len(lines))
}

// proxy stands between core and the API server; it cuts what goes through it.
type proxy struct {
	t        *testing.T
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool
	dead  bool
}

// through has core reach the API server through a proxy.
func (s *space) through() *proxy {
	s.t.Helper()
	u, err := url.Parse(access.Host)
	s.must(err)
	port := u.Port()
	if port == "" {
		port = "443"
	}
	p := &proxy{t: s.t, target: net.JoinHostPort(u.Hostname(), port), conns: map[net.Conn]bool{}}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.server = "https://" + p.listener.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(conn) })
		}
	})
	s.t.Cleanup(func() {
		_ = p.listener.Close()
		p.cut()
		running.Wait()
	})
	return p
}

func (p *proxy) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	to, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	if !p.add(conn, to) {
		return
	}
	defer p.remove(conn, to)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, conn)
		_ = to.Close()
	}()
	_, _ = io.Copy(conn, to)
	_ = conn.Close()
	<-done
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.dead
}

func (p *proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// cut cuts all connections.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a machine that has gone
		}
		_ = c.Close()
		n++
	}
	return n
}

// kill cuts all connections, and lets none through from now on.
func (p *proxy) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.cut()
}

// TestConnectionCut cuts all of core's connections again and again while a job prints.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	p := s.through()
	c := s.start(printer(printing), "")
	c.line("line 1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(printing / (cuts + 1))
		defer tick.Stop()
		for range cuts {
			select {
			case <-tick.C:
			case <-c.done:
				return
			}
			for p.cut() == 0 { // there is one again soon
				select {
				case <-time.After(10 * time.Millisecond):
				case <-c.done:
					return
				}
			}
		}
	}()
	r := c.finish()
	<-done
	r.want("success", "")
	r.numbered()
}

// clusterTool is the program that runs the cluster, if that is the one of `make cluster` on this machine: its components can
// be restarted then, and its pods looked at. On others the test is left out.
func clusterTool(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(root, "build", "cluster", "cluster")
	if path, err := exec.Command(tool, "kubeconfig").Output(); err == nil {
		config, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(string(path)))
		if err == nil && config.Host == access.Host {
			return tool
		}
	}
	t.Skip("NOT TESTED: the cluster is not that of `make cluster` on this machine")
	return ""
}

func restart(t *testing.T, tool string, args ...string) {
	t.Helper()
	if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestRestarts restarts components of the cluster while a job prints. Not parallel: other tests need them.
func TestRestarts(t *testing.T) {
	for _, component := range []string{"apiserver", "kubelet"} {
		t.Run(component, func(t *testing.T) {
			tool := clusterTool(t)
			s := newSpace(t, nil)
			c := s.start(printer(printing), "")
			c.line("line 100")
			restart(t, tool, "restart", component)
			r := c.finish()
			r.want("success", "")
			r.numbered()
		})
	}
}

// TestDirect reaches the pod at its address, as core does in a cluster.
func TestDirect(t *testing.T) {
	t.Parallel()
	clusterTool(t)
	s := newSpace(t, nil)
	r := s.run(printer(2*time.Second), `transport = "direct"`)
	r.want("success", "")
	r.numbered()
}

// killHelper kills the helper of a pod on this machine.
func killHelper(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	for _, dir := range globs(t, "/proc/[0-9]*") {
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if strings.HasPrefix(string(command), "/runner-helper\x00agent\x00") && strings.Contains(string(groups), string(pod.UID)) {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the helper's process is not to be found")
}

func globs(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestNoEvidence: whatever takes the evidence away, the result is no success, and says why.
func TestNoEvidence(t *testing.T) {
	t.Parallel()
	work := []string{"echo ready", "sleep 1000"}
	t.Run("the helper is killed", func(t *testing.T) {
		t.Parallel()
		s := newSpace(t, nil)
		clusterTool(t)
		c := s.start(job(work), `grace = "1s"`)
		c.line("ready")
		killHelper(t, s.anyPod())
		r := c.finish()
		r.want("failed", "infrastructure", "helper container")
		if r.code != 3 {
			t.Errorf("exit code %d", r.code)
		}
	})
	t.Run("the pod is deleted", func(t *testing.T) {
		t.Parallel()
		s := newSpace(t, nil)
		c := s.start(job(work), `grace = "1s"`)
		c.line("ready")
		s.must(admin.CoreV1().Pods(s.name).Delete(t.Context(), s.anyPod().Name, metav1.DeleteOptions{}))
		c.finish().want("failed", "pod_deleted", "deleted")
	})
	t.Run("the pod is deleted by force", func(t *testing.T) {
		t.Parallel()
		s := newSpace(t, nil)
		c := s.start(job(work), `grace = "1s"`)
		c.line("ready")
		s.forceDelete(s.anyPod())
		c.finish().want("failed", "pod_deleted", "deleted")
	})
	t.Run("the stream is cut at the end", func(t *testing.T) {
		t.Parallel()
		s := newSpace(t, nil)
		p := s.through()
		c := s.start(job([]string{"echo ready", "sleep 2", "echo end"}), "")
		pod := s.anyPod()
		c.line("ready")
		p.kill()
		// The job ends well, and nobody sees it.
		s.pod(func(pod *corev1.Pod) bool {
			for _, status := range pod.Status.ContainerStatuses {
				if status.Name == "job" && status.State.Terminated != nil {
					return true
				}
			}
			return false
		})
		s.forceDelete(pod)
		p.mu.Lock()
		p.dead = false
		p.mu.Unlock()
		r := c.finish()
		r.want("failed", "pod_deleted")
	})
}

// TestClusterGoesAway: core waits for the cluster to come back, until it is told not to.
func TestClusterGoesAway(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	p := s.through()
	c := s.start(job([]string{"echo ready", "sleep 1000"}), `grace = "1s"`)
	c.line("ready")
	pod := s.anyPod()
	p.kill()
	c.await("status Reconnecting", func(e event) bool { return e.Reason == "Reconnecting" })
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r := c.finish()
	r.want("canceled", "canceled", "could not be reached")
	if !strings.Contains(r.stderr, pod.Name) || !strings.Contains(r.stderr, "by hand") {
		t.Errorf("core does not say what it has left:\n%s", r.stderr)
	}
	s.forceDelete(pod)
	s.must(admin.CoreV1().Secrets(s.name).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
	s.must(admin.CoreV1().ConfigMaps(s.name).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
}

// TestNodeLost: the node is marked as lost, by the taint that the cluster gives it then. Not parallel: it is the only node.
func TestNodeLost(t *testing.T) {
	tool := clusterTool(t)
	s := newSpace(t, nil)
	c := s.start(job([]string{"echo ready", "sleep 1000"}), `grace = "1s"
tolerations = [
  { key = "node.kubernetes.io/unreachable", operator = "Exists", effect = "NoExecute", tolerationSeconds = 0 },
]`)
	c.line("ready")
	node := s.pod(func(p *corev1.Pod) bool { return p.Spec.NodeName != "" }).Spec.NodeName
	restart(t, tool, "stop", "kubelet")
	defer restart(t, tool, "start", "kubelet")
	taint := `{"spec":{"taints":[{"key":"node.kubernetes.io/unreachable","effect":"NoExecute"}]}}`
	_, err := admin.CoreV1().Nodes().Patch(t.Context(), node, types.StrategicMergePatchType, []byte(taint), metav1.PatchOptions{})
	s.must(err)
	defer func() {
		untaint := `{"spec":{"taints":null}}`
		_, err := admin.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, []byte(untaint), metav1.PatchOptions{})
		if err != nil {
			t.Error(err)
		}
	}()
	c.await("result", func(e event) bool { return e.Event == "result" })
	// The pod goes when its node is back.
	restart(t, tool, "start", "kubelet")
	c.finish().want("failed", "node_lost", node)
}
