package scale

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/doctest"
	"github.com/podrunner/runner/core/internal/telemetry"
)

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// cluster is an API server with one Lease, one Deployment and its pods, which keeps to resource versions as the real one
// does. It allows what the Role of the documentation allows, and notes what was made use of.
type cluster struct {
	t      *testing.T
	server *httptest.Server
	rights map[string]bool

	mu       sync.Mutex
	version  int
	lease    *coordinationv1.Lease
	replicas int32
	scaled   int // version of the Deployment
	writes   []int32
	costs    map[string][]string // by pod
	used     map[string]bool
	// fault is what a request "verb resource" is answered with in place of the answer; 0: nothing is.
	fault func(request string) int
	// before, unless nil, is called before a request is worked on, with mu held.
	before  func(request string)
	changed *sync.Cond
}

func newCluster(t *testing.T, replicas int32) *cluster {
	t.Helper()
	c := &cluster{t: t, rights: doctest.Rights(t, "../../../docs/operations.md", "scaling-role"), replicas: replicas, costs: map[string][]string{}, used: map[string]bool{}}
	c.changed = sync.NewCond(&c.mu)
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	// /api/v1/namespaces/NS/RESOURCE/NAME or /apis/GROUP/v1/namespaces/NS/RESOURCE/NAME/SUBRESOURCE
	group, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis/"), "/api/"), "v1/namespaces/ns/")
	parts := append(strings.Split(path, "/"), "", "")
	resource := group + parts[0]
	if parts[2] != "" {
		resource += "/" + parts[2]
	}
	request := map[string]string{"POST": "create", "PUT": "update", "GET": "get", "PATCH": "patch"}[r.Method] + " " + resource

	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changed.Broadcast()
	c.used[request] = true
	if c.before != nil {
		c.before(request)
	}
	var answer any
	code := 0
	if c.fault != nil {
		code = c.fault(request)
	}
	switch {
	case code != 0:
	case !c.rights[request]:
		code = http.StatusForbidden
	case parts[0] == "leases":
		answer, code = c.serveLease(r.Method, body)
	case parts[0] == "deployments" && parts[1] == "runner":
		answer, code = c.serveScale(r.Method, body)
	case parts[0] == "pods" && parts[1] != "lost":
		answer = c.servePod(parts[1], body)
	default:
		code = http.StatusNotFound
	}
	w.Header().Set("Content-Type", "application/json")
	if code != 0 {
		w.WriteHeader(code)
		reason := map[int]metav1.StatusReason{
			http.StatusForbidden: metav1.StatusReasonForbidden, http.StatusNotFound: metav1.StatusReasonNotFound,
			http.StatusConflict: metav1.StatusReasonConflict, http.StatusInternalServerError: metav1.StatusReasonInternalError,
		}[code]
		answer = metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), //nolint:gosec // an HTTP status
			Reason: reason, Message: fmt.Sprintf("%s: %s", request, reason),
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *cluster) next() string {
	c.version++
	return strconv.Itoa(c.version)
}

func (c *cluster) serveLease(method string, body []byte) (any, int) {
	var in coordinationv1.Lease
	_ = json.Unmarshal(body, &in)
	in.SetGroupVersionKind(schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"})
	switch method {
	case http.MethodGet:
		if c.lease == nil {
			return nil, http.StatusNotFound
		}
		return c.lease, 0
	case http.MethodPut:
		if c.lease == nil || c.lease.ResourceVersion != in.ResourceVersion {
			return nil, http.StatusConflict
		}
	}
	in.ResourceVersion = c.next()
	c.lease = &in
	return c.lease, 0
}

func (c *cluster) serveScale(method string, body []byte) (any, int) {
	if method == http.MethodPatch {
		var in autoscalingv1.Scale
		_ = json.Unmarshal(body, &in)
		if in.ResourceVersion != strconv.Itoa(c.scaled) {
			return nil, http.StatusConflict
		}
		c.scale(in.Spec.Replicas)
		c.writes = append(c.writes, in.Spec.Replicas)
	}
	scale := autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: c.replicas}}
	scale.SetGroupVersionKind(schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"})
	scale.Name, scale.ResourceVersion = "runner", strconv.Itoa(c.scaled)
	return scale, 0
}

// scale gives the Deployment a number and a new version. Callers hold mu.
func (c *cluster) scale(n int32) {
	c.replicas = n
	c.scaled++
}

func (c *cluster) servePod(name string, body []byte) any {
	var in corev1.Pod
	_ = json.Unmarshal(body, &in)
	c.costs[name] = append(c.costs[name], in.Annotations["controller.kubernetes.io/pod-deletion-cost"])
	in.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	return in
}

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// until waits until something is so, which is asked with mu held.
func (c *cluster) until(what string, so func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	timer := time.AfterFunc(patience, c.changed.Broadcast)
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !so() {
		if !time.Now().Before(deadline) {
			c.t.Fatalf("not within %s: %s", patience, what)
		}
		c.changed.Wait()
	}
}

func (c *cluster) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

// leads waits until the Lease is somebody's; "": nobody's.
func (c *cluster) leads(holder string) {
	c.t.Helper()
	c.until("the lease is "+holder+"'s", func() bool {
		return c.lease != nil && c.lease.Spec.HolderIdentity != nil && *c.lease.Spec.HolderIdentity == holder
	})
}

// opinion is a Recommender whose answers are the test's.
type opinion struct {
	mu sync.Mutex
	n  int
	// err is answered in place of n. stuck: there is no answer.
	err   error
	stuck bool
	asked [][2]int
}

func (o *opinion) Recommend(ctx context.Context, current, concurrency int) (int, error) {
	o.mu.Lock()
	o.asked = append(o.asked, [2]int{current, concurrency})
	n, err, stuck := o.n, o.err, o.stuck
	o.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return n, err
}

func (o *opinion) set(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n, o.err = n, err
}

func (o *opinion) questions() [][2]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// log is what a runner says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// runner is a Scaler at work in a cluster.
type runner struct {
	*Scaler
	log     *log
	metrics *telemetry.Metrics
	network http.Transport
	// away cuts it off from the cluster.
	away atomic.Bool
	stop context.CancelFunc
}

var errCut = errors.New("the network is cut")

func (r *runner) RoundTrip(q *http.Request) (*http.Response, error) {
	if r.away.Load() {
		return nil, errCut
	}
	return r.network.RoundTrip(q)
}

// newRunner makes a runner whose times are short. It is closed with the test.
func (c *cluster) newRunner(pod string, sources ...Source) *runner {
	c.t.Helper()
	r := &runner{log: &log{}, metrics: telemetry.NewMetrics(telemetry.Options{})}
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: c.server.URL, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: "application/json"},
		Transport:     r,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	r.Scaler = New(Options{
		Client: client, Sources: sources, Metrics: r.metrics,
		Logger: hclog.New(&hclog.LoggerOptions{Output: r.log, Level: hclog.Debug}),
		Settings: config.Scaling{
			Enabled: true, Pod: pod, Namespace: "ns", Deployment: "runner", MinReplicas: 1, MaxReplicas: 10,
			Interval: 20 * time.Millisecond, ConcurrencyFactor: 100,
		},
	})
	r.times = times{
		lease: 2 * time.Second, renew: time.Second, retry: 50 * time.Millisecond, look: 20 * time.Millisecond,
		call: time.Second, ask: 200 * time.Millisecond, calm: 200 * time.Millisecond, again: 50 * time.Millisecond,
	}
	return r
}

// run starts a runner, as one that is told to stop when stop is called.
func (c *cluster) run(r *runner) *runner {
	c.t.Helper()
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	r.Start(ctx)
	c.t.Cleanup(func() {
		c.end(r)
		r.network.CloseIdleConnections()
		if c.t.Failed() {
			c.t.Logf("%s said:\n%s", r.Settings.Pod, regexp.MustCompile(`(?m)^.*\[DEBUG\].*\n`).ReplaceAllString(r.log.String(), ""))
		}
	})
	return r
}

func (c *cluster) end(r *runner) {
	c.t.Helper()
	r.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		c.t.Error(err)
	}
}

// wantMetrics compares the runner's metrics of scaling.
func (r *runner) wantMetrics(t *testing.T, want string) {
	t.Helper()
	families, err := r.metrics.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		short, ours := strings.CutPrefix(f.GetName(), telemetry.DefaultNamespace+"_scaling_")
		if !ours {
			continue
		}
		for _, m := range f.GetMetric() {
			name := short
			for _, label := range m.GetLabel() {
				name += "{" + label.GetValue() + "}"
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		lines = append(lines, fmt.Sprintf("%s %g", name, got[name]))
	}
	if text := strings.Join(lines, "\n"); text != want {
		t.Errorf("the metrics are\n%s\nwant\n%s", text, want)
	}
}
