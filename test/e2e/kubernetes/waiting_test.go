package kubernetes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// registry is one that has no image; it returns its address. The kubelet's machine is this one.
func registry(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v2/" {
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// unused is an address of this machine that nobody listens on.
func unused(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// TestWhyAPodDoesNotStart has a case for each class: what core says, and how soon.
func TestWhyAPodDoesNotStart(t *testing.T) {
	t.Parallel()
	run := job([]string{"true"})
	image := func(name string) string { return strings.Replace(run, busybox, name, 1) }
	// The scheduler answers at once, a busy kubelet may take its time.
	const short, long = "start_timeout = \"6s\"\n", "start_timeout = \"20s\"\n"
	for _, c := range []struct {
		name, job, settings string
		outcome, reason     string
		parts               []string
	}{
		{
			"no node has the CPU", run, short + `resources = { requests = { cpu = "900" }, limits = { cpu = "900" } }`,
			"pod_timeout", "unschedulable",
			[]string{"no node has enough free resources", "Insufficient cpu", "start_timeout (6s)"},
		},
		{
			"no node is the right one", run, short + `node_selector = { "e2e/nowhere" = "true" }`,
			"pod_timeout", "unschedulable",
			[]string{"node_selector and affinity", "didn't match"},
		},
		{
			"image that is not there", image(registry(t) + "/no/such:1"), "",
			"failed", "image_not_found",
			[]string{`container "job"`, "/no/such:1", "not found"},
		},
		{
			"image's name is none", image("UPPER/Case"), "",
			"failed", "image_invalid",
			[]string{`container "job"`},
		},
		{
			"registry that does not answer", image(unused(t) + "/any/image:1"), long,
			"pod_timeout", "image_pull",
			[]string{"connection refused", "start_timeout (20s)"},
		},
		{
			"image that may not be pulled", image("localhost/absent:1"), `pull_policy = "Never"`,
			"failed", "image_not_found",
			[]string{"localhost/absent:1"},
		},
		{
			"Secret that is missing", run, `pod_overlay = "spec: {containers: [{name: job, env: [{name: X, valueFrom: {secretKeyRef: {name: absent, key: k}}}]}]}"`,
			"failed", "container_config",
			[]string{`secret "absent" not found`},
		},
		{
			"ConfigMap of a volume that is missing", run, long + `volumes = [{ name = "v", configMap = { name = "absent" } }]
volume_mounts = [{ name = "v", mountPath = "/v" }]`,
			"pod_timeout", "volume",
			[]string{`configmap "absent" not found`},
		},
		{
			"image with no shell", image("localhost/noshell:dev"), "",
			"failed", "start_failed",
			[]string{"find the shell", "/bin/sh"},
		},
		{
			"shell that is not there", run, `shell = "/bin/zsh"`,
			"failed", "start_failed",
			[]string{"/bin/zsh"},
		},
		{
			"runtime class that is unknown", run, `runtime_class = "absent"`,
			"failed", "admission_refused",
			[]string{"absent"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, nil)
			r := s.run(c.job, c.settings)
			r.want(c.outcome, c.reason, c.parts...)
			// What can't be had is given up after a few seconds, and not at the end of start_timeout, a minute. How soon a kubelet
			// looks at a pod is the machine's affair.
			if took := r.total(); took > 45*time.Second {
				t.Errorf("that took %s", took)
			}
			if len(r.statuses) < 2 {
				t.Errorf("core said nothing while the job waited: %v", r.statuses)
			}
		})
	}
}

// TestRefusals: what the cluster has against the objects of a job is told in its own words, at once.
func TestRefusals(t *testing.T) {
	t.Parallel()
	run := job([]string{"true"})
	for _, c := range []struct {
		name, settings string
		labels         map[string]string
		prepare        func(*space)
		outcome        string
		reason         string
		parts          []string
	}{
		{
			name: "quota", prepare: func(s *space) {
				_, err := admin.CoreV1().ResourceQuotas(s.name).Create(s.t.Context(), &corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Name: "tight"},
					Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"limits.memory": resource.MustParse("10Mi")}},
				}, metav1.CreateOptions{})
				s.must(err)
				s.awaitQuota("tight")
			},
			outcome: "failed", reason: "quota_exceeded", parts: []string{"exceeded quota: tight", "limits.memory"},
		},
		{
			name: "pod security", labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
			outcome: "failed", reason: "admission_refused", parts: []string{"violates PodSecurity", "restricted"},
		},
		{
			name: "policy", prepare: refusingPolicy,
			outcome: "failed", reason: "admission_refused", parts: []string{"not on a Tuesday"},
		},
		{
			name: "missing right", prepare: func(s *space) {
				role, err := admin.RbacV1().Roles(s.name).Get(s.t.Context(), "runner", metav1.GetOptions{})
				s.must(err)
				rules := []rbacv1.PolicyRule{}
				for _, rule := range role.Rules {
					if rule.Resources[0] == "configmaps" {
						rule.Resources = []string{"configmaps"}
					}
					rules = append(rules, rule)
				}
				role.Rules = rules
				_, err = admin.RbacV1().Roles(s.name).Update(s.t.Context(), role, metav1.UpdateOptions{})
				s.must(err)
			},
			outcome: "failed", reason: "forbidden", parts: []string{`may not create secrets in the namespace "e2e-`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, c.labels)
			if c.prepare != nil {
				c.prepare(s)
			}
			r := s.run(run, c.settings)
			r.want(c.outcome, c.reason, c.parts...)
			if took := r.total(); took > 10*time.Second {
				t.Errorf("that took %s", took)
			}
		})
	}
}

// must fails the test when there is an error.
func (s *space) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// awaitQuota waits until a quota counts.
func (s *space) awaitQuota(name string) {
	s.t.Helper()
	w, err := admin.CoreV1().ResourceQuotas(s.name).Watch(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	defer w.Stop()
	for e := range w.ResultChan() {
		if q, ok := e.Object.(*corev1.ResourceQuota); ok && q.Name == name && len(q.Status.Hard) > 0 {
			return
		}
	}
}

// refusingPolicy has the API server refuse the pods of the space.
func refusingPolicy(s *space) {
	ctx := s.t.Context()
	_, err := admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "not on a Tuesday"}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	s.t.Cleanup(func() {
		_ = admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Delete(context.Background(), s.name, metav1.DeleteOptions{})
		_ = admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(context.Background(), s.name, metav1.DeleteOptions{})
	})
	_, err = admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        s.name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: s.name},
			}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	// There is no event for when a policy counts: a pod that would be refused says it.
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: busybox}}},
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		_, err := admin.CoreV1().Pods(s.name).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), "Tuesday") {
			return
		}
		s.must(err)
	}
}

// TestNamespaceMissing: the namespace that the settings name does not exist. The account may look into it.
func TestNamespaceMissing(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	bind := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "runner", Namespace: s.name}},
	}
	_, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), bind, metav1.CreateOptions{})
	s.must(err)
	t.Cleanup(func() {
		_ = admin.RbacV1().ClusterRoleBindings().Delete(context.Background(), s.name, metav1.DeleteOptions{})
	})
	r := s.run(job([]string{"true"}), "", "--namespace", "e2e-absent")
	r.want("failed", "namespace_missing", `"e2e-absent"`)
}

// TestNoRightsAtAll: core says so before it does anything.
func TestNoRightsAtAll(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"true"}), "", "--namespace", "default")
	if r.code != 3 || !strings.Contains(r.stderr, `cannot list resource "pods"`) || !strings.Contains(r.stderr, `"default"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// TestNoCluster: core says what to do.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	s.server = "https://" + unused(t)
	r := s.run(job([]string{"true"}), "")
	if r.code != 3 || !strings.Contains(r.stderr, "make cluster") || !strings.Contains(r.stderr, "--set executor=local") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// TestRestricted: a namespace that enforces the strictest level runs a job.
func TestRestricted(t *testing.T) {
	t.Parallel()
	s := newSpace(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	r := s.run(job([]string{"set +x", "id -u", "touch file && ls"}, "initCommands: ['true']"), `pod_security = "restricted"`)
	r.want("success", "")
	if got := strings.Join(r.lines(), "|"); got != "65532|file" {
		t.Errorf("the log is %q", got)
	}
}

// TestAgentMode: the steps are privileged and root, with the rest of the configured context.
func TestAgentMode(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"set +x", "id -u", "id -G", "mount -t tmpfs none /mnt 2>/dev/null || mkdir /mnt && mount -t tmpfs none /mnt && echo mounted"}),
		"agent_mode = true\nsecurity_context = { runAsUser = 1000, supplementalGroups = [4711] }")
	r.want("success", "")
	if got := strings.Join(r.lines(), "|"); !strings.HasPrefix(got, "0|") || !strings.Contains(got, "4711") || !strings.HasSuffix(got, "|mounted") {
		t.Errorf("the log is %q", got)
	}
}

// TestInitFails: the commands are not run, and the init step's output tells why.
func TestInitFails(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"echo main"}, "initCommands: ['echo from init', 'exit 4']"), "")
	r.want("failed", "init_failed", "exit code 4", "the commands were not run")
	if got := strings.Join(r.lines(), "|"); got != "from init" || r.ExitCode == nil || *r.ExitCode != 4 {
		t.Errorf("the log is %q, the exit code %v", got, r.ExitCode)
	}
}

// TestLifetime: a job that runs too long is ended, with its log.
func TestLifetime(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"set +x", "trap 'echo last words' TERM", "echo first", "sleep 1000 & wait"}), "lifetime = \"2s\"\ngrace = \"2s\"")
	r.want("execution_timeout", "lifetime", "lifetime of 2s")
	if got := strings.Join(r.lines(), "|"); got != "first|last words" {
		t.Errorf("the log is %q", got)
	}
}

// TestOOM names memory and limit.
func TestOOM(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"a child is killed":     "tail -c 200000000 /dev/zero",
		"the shell is replaced": "exec tail -c 200000000 /dev/zero",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, nil)
			r := s.run(job([]string{"echo before", command}), `resources = { requests = { memory = "32Mi" }, limits = { memory = "64Mi" } }`)
			r.want("failed", "oom_killed", "limit 64Mi", "peak ")
			if got := strings.Join(r.lines(), "|"); !strings.HasPrefix(got, "before") {
				t.Errorf("the log is %q", got)
			}
		})
	}
}

// TestFullDisk: the kubelet evicts a pod that writes more than it may.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"echo before", "dd if=/dev/zero of=/jobs/big bs=1M count=120", "sleep 1000"}),
		`resources = { requests = { "ephemeral-storage" = "1Mi" }, limits = { "ephemeral-storage" = "8Mi" } }
helper_resources = { requests = { "ephemeral-storage" = "1Mi" }, limits = { "ephemeral-storage" = "16Mi" } }
spool_size = 1000000`)
	r.want("failed", "evicted", "ephemeral")
}

// TestEviction: while a job runs, a drain is told to come back later.
func TestEviction(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	t.Cleanup(func() {
		_ = admin.PolicyV1().PodDisruptionBudgets(s.name).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{})
	})
	c := s.start(job([]string{"echo ready", "trap 'exit 0' TERM; sleep 1000 & wait"}), "disruption_budget = true\ngrace = \"1s\"")
	c.line("ready")
	s.pod(func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	pod := s.anyPod()
	evict := func() error {
		return admin.PolicyV1().Evictions(s.name).Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: s.name}})
	}
	// The budget counts once its controller has seen it.
	if err := evict(); !apierrors.IsTooManyRequests(err) {
		t.Errorf("an eviction is answered with %v", err)
	}
	s.must(admin.PolicyV1().PodDisruptionBudgets(s.name).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
	if err := evict(); err != nil {
		t.Fatal(err)
	}
	c.finish().want("failed", "evicted", "evicted from the node")
}

// TestPreemption: a pod of a higher priority takes the place.
func TestPreemption(t *testing.T) {
	s := newSpace(t, nil) // not parallel: it needs the node's CPU for itself
	low, high := s.name+"-low", s.name+"-high"
	for name, value := range map[string]int32{low: -1000, high: 1000} {
		_, err := admin.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value,
		}, metav1.CreateOptions{})
		s.must(err)
		t.Cleanup(func() {
			_ = admin.SchedulingV1().PriorityClasses().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
	nodes, err := admin.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	s.must(err)
	cpu := nodes.Items[0].Status.Allocatable.Cpu()
	most := fmt.Sprintf("%dm", cpu.MilliValue()*7/10)
	c := s.start(job([]string{"echo ready", "sleep 1000"}),
		fmt.Sprintf("priority_class = %q\ngrace = \"1s\"\nresources = { requests = { cpu = %q }, limits = { cpu = %q } }", low, most, most))
	c.line("ready")
	_, err = admin.CoreV1().Pods(s.name).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "high"},
		Spec: corev1.PodSpec{
			PriorityClassName: high, TerminationGracePeriodSeconds: new(int64),
			Containers: []corev1.Container{{
				Name: "c", Image: busybox, Command: []string{"sleep", "1000"},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(most)}},
			}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	c.finish().want("failed", "preempted", "preempted")
	s.must(admin.CoreV1().Pods(s.name).Delete(t.Context(), "high", metav1.DeleteOptions{}))
}
