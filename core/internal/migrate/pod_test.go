package migrate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// podRow is a key of the section kubernetes with a value, and what becomes of it.
type podRow struct {
	key, yaml string
	edit      func(*settled)
	warn      []string
	// line is given besides.
	line []string
}

var podRows = []podRow{
	{key: "namespace", yaml: "namespace: jobs", edit: func(s *settled) { s.kubernetes().Namespace = "jobs" }},
	{key: "namespace", yaml: "NAMESPACE: 123", edit: func(s *settled) { s.kubernetes().Namespace = "123" }},
	{key: "namespace", yaml: "namespace: jobs", line: []string{"--job-pod-namespace=other"}, edit: func(s *settled) { s.kubernetes().Namespace = "jobs" }, warn: []string{"Pod file wins"}},
	{key: "lifetime", yaml: "lifetime: 7200", edit: func(s *settled) { s.kubernetes().Lifetime = 2 * time.Hour }},
	{key: "lifetime", yaml: "Lifetime: '90'", edit: func(s *settled) { s.kubernetes().Lifetime = 90 * time.Second }},
	{key: "shell", yaml: "shell: /bin/bash", edit: func(s *settled) { s.kubernetes().Shell = "/bin/bash" }},
	{key: "workingDir", yaml: "workingdir: /work", edit: func(s *settled) { s.kubernetes().Workdir = "/work" }},
	{key: "annotations", yaml: "annotations: {example.com/a: 5, b: 'x', c: ~}", edit: func(s *settled) {
		s.kubernetes().Annotations = map[string]string{"example.com/a": "5", "b": "x", "c": ""}
	}},
	{key: "resources", yaml: "resources: {requests: {cpu: 500m}, limits: {nvidia.com/gpu: 1, CPU2.example.com/x: '2'}}", edit: func(s *settled) {
		s.request("cpu", "500m")
		s.limit("nvidia.com/gpu", "1")
		s.limit("CPU2.example.com/x", "2")
	}},
	{
		key: "resources", yaml: "resources:\n    limits: {memory: 3Gi}\n    Requests: {memory: 2G}", line: []string{"--job-pod-limits-memory=2048", "--job-pod-limits-cpu=2000"},
		edit: func(s *settled) { s.limit("memory", "3Gi"); s.limit("cpu", "2"); s.request("memory", "2G") }, warn: []string{"Pod file wins"},
	},
	{key: "serviceAccountName", yaml: "serviceAccountName: jobs", edit: func(s *settled) {
		s.kubernetes().ServiceAccount, s.kubernetes().AutomountServiceAccountToken = "jobs", true
	}},
	{key: "terminationGracePeriodSeconds", yaml: "terminationGracePeriodSeconds: 30", edit: func(s *settled) { s.kubernetes().Grace = 30 * time.Second }},
	{key: "dnsPolicy", yaml: "dnsPolicy: None", warn: []string{"No effect"}},
	{key: "pullPolicy", yaml: "pullPolicy: Always", edit: func(s *settled) { s.kubernetes().HelperPullPolicy = corev1.PullAlways }},
	{key: "securityContext", yaml: "securityContext: {runAsUser: 1000, runasnonroot: yes, supplementalGroups: [1, 2], sysctls: [{name: a, value: 1}], seccompProfile: {type: RuntimeDefault}}", edit: func(s *settled) {
		user, nonRoot := int64(1000), true
		s.kubernetes().SecurityContext = &corev1.PodSecurityContext{
			RunAsUser: &user, RunAsNonRoot: &nonRoot, SupplementalGroups: []int64{1, 2},
			Sysctls: []corev1.Sysctl{{Name: "a", Value: "1"}}, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	}},
	{key: "securityContext", yaml: "securityContext: {runAsUser: 1000}\n  agentMode: true", edit: func(s *settled) { s.kubernetes().AgentMode = true }, warn: []string{"Security context not taken over"}},
	{key: "securityContext", yaml: "securityContext: {runAsUser: 1000}", line: []string{"--job-agent-mode"}, edit: func(s *settled) { s.kubernetes().AgentMode = true }, warn: []string{"Security context not taken over"}},
	{key: "securityContext", yaml: "securityContext: {runAsUsr: 1000}", warn: []string{"Unknown key"}},
	{key: "nodeSelector", yaml: "nodeSelector: {kubernetes.io/arch: amd64}", edit: func(s *settled) { s.kubernetes().NodeSelector = map[string]string{"kubernetes.io/arch": "amd64"} }},
	{key: "agentMode", yaml: "agentMode: true", edit: func(s *settled) { s.kubernetes().AgentMode = true }},
	{key: "agentMode", yaml: "agentMode: on", edit: func(s *settled) { s.kubernetes().AgentMode = true }},
	{key: "agentMode", yaml: "agentMode: false", line: []string{"--job-agent-mode"}, warn: []string{"Pod file wins"}},
	{key: "helperImage", yaml: "helperImage: example.com/helper:1", warn: []string{"Helper image not taken over"}},
	{key: "unknown", yaml: "nodeSelectors: {a: b}", warn: []string{"Unknown key"}},
	{key: "none", yaml: "namespace: ~\n  resources: ~"},
}

// TestPodFile gives each key of the section kubernetes.
func TestPodFile(t *testing.T) {
	for _, r := range podRows {
		t.Run(r.yaml, func(t *testing.T) {
			environment(t)
			got, warnings := migrated(t, "KUBERNETES:\n  "+r.yaml+"\n", r.line)
			if d := cmp.Diff(r.warn, warnings); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
			expect(t, func() *settled { s, _ := migrated(t, "", nil); return s }, r.edit, got)
		})
	}
}
