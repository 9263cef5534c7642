package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/plugins/source-opslevel/opsleveltest"
	"github.com/podrunner/runner/test/e2e/runner"
)

// release is runners of the image of core, which the chart has brought into a namespace of the restricted level; jobs are in
// a namespace of their own.
type release struct {
	*space
	jobs *space
	api  *opsleveltest.Server
}

const (
	releaseName = "ci"
	// deploymentName is what the chart makes of it.
	deploymentName = "ci-runner"
	releaseLabel   = "app.kubernetes.io/instance=" + releaseName
)

func newRelease(t *testing.T) *release {
	t.Helper()
	r := &release{jobs: newSpace(t, nil), space: newSpace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})}
	var err error
	r.api, err = opsleveltest.Start(opsleveltest.Options{Address: net.JoinHostPort(r.hostAddress(), "0")})
	r.must(err)
	t.Cleanup(func() { _ = r.api.Close() })
	// A test that has failed leaves no runner behind, which would take the next ones' room.
	t.Cleanup(func() {
		now := int64(0)
		_ = admin.AppsV1().Deployments(r.name).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{})
		_ = admin.CoreV1().Pods(r.name).DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	})
	return r
}

// hostAddress is the address of this machine at which pods reach it: the one that it has on the way to the node.
func (s *space) hostAddress() string {
	s.t.Helper()
	nodes, err := admin.CoreV1().Nodes().List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	for _, a := range nodes.Items[0].Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		way, err := net.Dial("udp", net.JoinHostPort(a.Address, "9")) // Nothing is sent.
		s.must(err)
		defer way.Close()
		return way.LocalAddr().(*net.UDPAddr).IP.String()
	}
	s.t.Fatal("the node has no address")
	return ""
}

// helm runs helm as the administrator.
func (r *release) helm(args ...string) {
	r.t.Helper()
	c := exec.CommandContext(r.t.Context(), filepath.Join(root, "build", "tools", "helm"), append(args, "--namespace", r.name)...)
	if out, err := c.CombinedOutput(); err != nil {
		r.describe()
		r.logs()
		r.t.Fatalf("helm %q: %v\n%s", args, err, out)
	}
}

// upgrade installs the chart, or changes values of it, and waits until the runners are ready.
func (r *release) upgrade(args ...string) {
	r.t.Helper()
	r.helm(append([]string{
		"upgrade", releaseName, filepath.Join(root, "deploy", "chart"), "--install", "--reset-then-reuse-values", "--wait", "--timeout", runner.Limit.String(),
	}, args...)...)
}

// logs prints what the runners say, for people who look into a failure.
func (r *release) logs() {
	pods, err := admin.CoreV1().Pods(r.name).List(context.Background(), metav1.ListOptions{LabelSelector: releaseLabel})
	if err != nil {
		return
	}
	for _, p := range pods.Items {
		text, err := admin.CoreV1().Pods(r.name).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(context.Background())
		r.t.Logf("pod %s is %s (%v):\n%s", p.Name, p.Status.Phase, err, text)
	}
}

func (r *release) deployment() *appsv1.Deployment {
	r.t.Helper()
	d, err := admin.AppsV1().Deployments(r.name).Get(r.t.Context(), deploymentName, metav1.GetOptions{})
	r.must(err)
	return d
}

// runners are the pods that there are, also those that end.
func (r *release) runners() []corev1.Pod {
	r.t.Helper()
	pods, err := admin.CoreV1().Pods(r.name).List(r.t.Context(), metav1.ListOptions{LabelSelector: releaseLabel})
	r.must(err)
	return pods.Items
}

// prefixes are what the processor prefix puts before each line.
var prefixes = regexp.MustCompile(`^\S+Z \[\d+\] `)

// lines is the log of a job, without prefixes and what the shell traces.
func (r *release) lines(id string) (lines []string) {
	j, _ := r.api.Job(id)
	for _, line := range j.Lines() {
		if text := prefixes.ReplaceAllString(string(line), ""); !strings.HasPrefix(text, "+ ") {
			lines = append(lines, text)
		}
	}
	return lines
}

// whole waits until a job of numbers is over, and fails the test unless its log is whole, and it has its outcome.
func (r *release) whole(id string, job, lines int) {
	r.t.Helper()
	runner.Eventually(r.t, fmt.Sprint("job ", job, " is over"), func() bool {
		j, _ := r.api.Job(id)
		return j.Status == "complete"
	})
	if got, want := r.lines(id), printed(lines); !slices.Equal(got, want) {
		r.t.Errorf("job %d: the log is %q, want %q", job, got, want)
	}
	j, _ := r.api.Job(id)
	want := []opsleveltest.OutcomeVariable{{Key: "job", Value: fmt.Sprint(job)}, {Key: "file", Value: fmt.Sprint(job)}}
	if j.Outcome != "success" || !slices.Equal(j.OutcomeVariables, want) {
		r.t.Errorf("job %d: the outcome is %s, the variables are %v", job, j.Outcome, j.OutcomeVariables)
	}
}

// TestChart: the chart brings the image of core into a cluster, with no rights but those of the chart: its runner becomes
// ready, runs a job, gets another configuration and scales itself by it, and lets its job end when it has to go.
func TestChart(t *testing.T) {
	t.Parallel()
	r := newRelease(t)
	r.upgrade("--set", strings.Join([]string{
		"secret.token=" + opsleveltest.Token, "jobNamespace=" + r.jobs.name, "drainTimeoutSeconds=120",
		"env.OPSLEVEL_API_URL=" + r.api.URL(), "env.OPSLEVEL_POLL_INTERVAL=1s", "env.OPSLEVEL_JOB_POD_LOG_MAX_INTERVAL=1s",
		"env.OPSLEVEL_JOB_CONCURRENCY=1", "env.OPSLEVEL_JOB_POD_REQUESTS_CPU=20", "env.OPSLEVEL_JOB_POD_REQUESTS_MEMORY=32",
		"env.OPSLEVEL_JOB_POD_LIMITS_EPHEMERAL_STORAGE=256", "resources.requests.cpu=20m", "resources.requests.memory=64Mi",
	}, ","))
	first := r.api.Add(numbers(1, 10))[0]
	r.whole(first, 1, 10)
	// The job is over for the API a little before it is for the runner.
	runner.Eventually(t, "the Service shows that a job is finished", func() bool {
		metrics, err := admin.CoreV1().Services(r.name).ProxyGet("http", deploymentName, "metrics", "/metrics", nil).DoRaw(t.Context())
		r.must(err)
		return strings.Contains(string(metrics), `opslevel_runner_jobs_finished{outcome="success",runner="opslevel"} 1`)
	})

	shipped, err := os.ReadFile(filepath.Join(root, "runner.hcl"))
	r.must(err)
	own := r.write("runner.hcl", strings.Replace(string(shipped), "\nscaling {\n", "\nscaling {\n  interval = \"1s\"\n", 1))
	r.api.Recommend(func(int, int) int { return 5 })
	r.upgrade("--set", "scaling.enabled=true,replicas=2", "--set-file", "config.settings="+own)
	runner.Eventually(t, "the runners have scaled themselves to as many as there may be", func() bool {
		d := r.deployment()
		return *d.Spec.Replicas == 2 && d.Status.ReadyReplicas == 2 && d.Status.UpdatedReplicas == 2
	})

	const lines = 150
	second := r.api.Add(numbers(2, lines))[0]
	runner.Eventually(t, "the second job runs", func() bool { return len(r.lines(second)) > 0 })
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": 0}})
	r.must(err)
	_, err = admin.AppsV1().Deployments(r.name).Patch(t.Context(), deploymentName, types.MergePatchType, patch, metav1.PatchOptions{})
	r.must(err)
	runner.Eventually(t, "the runners are told to end", func() bool {
		pods := r.runners()
		return !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.DeletionTimestamp == nil })
	})
	if n := len(r.lines(second)); n > lines {
		t.Fatalf("the job was over before, with %d lines", n)
	}
	if len(r.runners()) == 0 {
		t.Error("no runner waits for its job")
	}
	r.whole(second, 2, lines)
	runner.Eventually(t, "the runners are gone", func() bool { return len(r.runners()) == 0 })
	for _, x := range r.api.Runners() {
		if x.Gone.IsZero() || len(x.Left) > 0 {
			t.Errorf("the runner %s is still registered, or has left jobs: %v", x.ID, x.Left)
		}
	}

	r.helm("uninstall", releaseName, "--wait")
	r.nothingOf(r.name)
	r.nothingOf(r.jobs.name)
}

// nothingOf fails the test if anything that the chart makes is in a namespace.
func (r *release) nothingOf(namespace string) {
	r.t.Helper()
	ctx, all := r.t.Context(), metav1.ListOptions{LabelSelector: releaseLabel}
	var left []string
	add := func(kind string, n int, err error) {
		r.must(err)
		if n > 0 {
			left = append(left, fmt.Sprint(n, " ", kind))
		}
	}
	deployments, err := admin.AppsV1().Deployments(namespace).List(ctx, all)
	add("Deployments", len(deployments.Items), err)
	services, err := admin.CoreV1().Services(namespace).List(ctx, all)
	add("Services", len(services.Items), err)
	accounts, err := admin.CoreV1().ServiceAccounts(namespace).List(ctx, all)
	add("ServiceAccounts", len(accounts.Items), err)
	maps, err := admin.CoreV1().ConfigMaps(namespace).List(ctx, all)
	add("ConfigMaps", len(maps.Items), err)
	secrets, err := admin.CoreV1().Secrets(namespace).List(ctx, all)
	add("Secrets", len(secrets.Items), err)
	roles, err := admin.RbacV1().Roles(namespace).List(ctx, all)
	add("Roles", len(roles.Items), err)
	bindings, err := admin.RbacV1().RoleBindings(namespace).List(ctx, all)
	add("RoleBindings", len(bindings.Items), err)
	if len(left) > 0 {
		r.t.Errorf("the chart has left in %s: %s", namespace, strings.Join(left, ", "))
	}
}
