package config

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podrunner/runner/core/internal/diag"
)

// TestKubernetes reads a block with every setting, and one that overrides some.
func TestKubernetes(t *testing.T) {
	t.Setenv("RUNNER_TEST_SECONDS", "75")
	t.Setenv("RUNNER_TEST_FALSE", "false")
	t.Setenv("RUNNER_TEST_TRUE", "true")
	path := filepath.Join("testdata", "good", "kubernetes.hcl")
	c, diags := Load(path)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	user, seconds, optionalYes := int64(1000), int64(60), true
	size := resource.MustParse("10Gi")
	want := Kubernetes{
		Kubeconfig:       filepath.Join("testdata", "good", "cluster", "kubeconfig"),
		Context:          "staging",
		Namespace:        "jobs",
		QPS:              20,
		Burst:            40,
		RequestTimeout:   20 * time.Second,
		Transport:        "port_forward",
		StartTimeout:     75 * time.Second,
		Lifetime:         2 * time.Hour,
		Grace:            10 * time.Second,
		Shell:            "/bin/bash",
		Workdir:          "/srv/jobs",
		XTrace:           false,
		Tools:            map[string]string{"opslevel-runner": "runner-source-faktory", "both": "outer"},
		SpoolSize:        128 << 20,
		HelperImage:      "registry.example.com/runner-helper:1.2",
		HelperPullPolicy: corev1.PullAlways,
		HelperResources: corev1.ResourceRequirements{
			Requests: quantities("cpu", "10m", "memory", "32Mi", "ephemeral-storage", "16Mi"),
			Limits:   quantities("cpu", "500m", "memory", "128Mi"),
		},
		PullPolicy: corev1.PullNever,
		Resources: corev1.ResourceRequirements{
			Requests: quantities("cpu", "250m", "memory", "1e9", "ephemeral-storage", "64Mi"),
			Limits:   quantities("cpu", "0.5", "memory", "1Gi", "nvidia.com/gpu", "1"),
		},
		PodSecurity:                  "restricted",
		DisruptionBudget:             true,
		ServiceAccount:               "jobs",
		AutomountServiceAccountToken: true,
		Labels:                       map[string]string{"team": "platform"},
		Annotations:                  map[string]string{"Example.com/owner": "the platform team", "cost": "7"},
		NodeSelector:                 map[string]string{"kubernetes.io/arch": "amd64"},
		ImagePullSecrets:             []string{"registry", "mirror"},
		PriorityClass:                "high",
		RuntimeClass:                 "gvisor",
		DNSPolicy:                    corev1.DNSDefault,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsUser: &user, RunAsNonRoot: &optionalYes,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Tolerations: []corev1.Toleration{
			{Key: "dedicated", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
			{Key: "spot", Value: "true", TolerationSeconds: &seconds},
		},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a", "b"}},
			}}},
		}}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: "kubernetes.io/hostname", WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "platform"}},
		}},
		HostAliases: []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"db.example.com"}}},
		Volumes: []corev1.Volume{
			{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size, Medium: "Memory"}}},
			{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "ca"}}}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "cache", MountPath: "/var/cache"}, {Name: "ca", MountPath: "/var/ca"}},
		PodOverlay:   []byte(`{"spec":{"hostNetwork":true}}`),
	}
	if d := cmp.Diff(want, c.Pipelines[0].Kubernetes); d != "" {
		t.Errorf("a pipeline that says nothing (-want +got):\n%s", d)
	}

	group := int64(2000)
	want.Context, want.StartTimeout, want.XTrace = "production", 90*time.Second, true
	want.Resources = corev1.ResourceRequirements{
		Requests: quantities("cpu", "250m", "memory", "2Gi", "ephemeral-storage", "64Mi"),
		Limits:   quantities("cpu", "0.5", "memory", "4Gi"),
	}
	want.Labels = map[string]string{"team": "data", "tier": "batch"}
	want.Tools = map[string]string{"opslevel-runner": "runner-source-faktory", "both": "inner"}
	want.ImagePullSecrets = []string{"other"}
	want.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	want.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	want.Affinity, want.Volumes, want.VolumeMounts = &corev1.Affinity{}, []corev1.Volume{}, []corev1.VolumeMount{}
	want.PodOverlay = nil
	if d := cmp.Diff(want, c.Pipelines[1].Kubernetes); d != "" {
		t.Errorf("a pipeline that says something (-want +got):\n%s", d)
	}
}

// TestKubernetesDefaults looks at what a pipeline has when nobody has said anything.
func TestKubernetesDefaults(t *testing.T) {
	got := load(t, "pipeline \"a\" {\n  processor \"outcome\" {}\n}").Pipelines[0].Kubernetes
	want := Kubernetes{
		QPS: 50, Burst: 100, RequestTimeout: 15 * time.Second, Transport: "auto", StartTimeout: time.Minute, Lifetime: time.Hour, Grace: 5 * time.Second,
		Shell: "/bin/sh", Workdir: "/jobs", XTrace: true, SpoolSize: 64 << 20,
		HelperImage: "localhost/runner-helper:dev", HelperPullPolicy: "IfNotPresent", PullPolicy: "IfNotPresent",
		HelperResources: corev1.ResourceRequirements{
			Requests: quantities("cpu", "10m", "memory", "32Mi", "ephemeral-storage", "16Mi"),
			Limits:   quantities("cpu", "1", "memory", "128Mi"),
		},
		Resources: corev1.ResourceRequirements{
			Requests: quantities("cpu", "1", "memory", "1Gi", "ephemeral-storage", "64Mi"),
			Limits:   quantities("cpu", "1", "memory", "1Gi", "ephemeral-storage", "26Gi"),
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestKubernetesSettingsAreTheStruct compares the settings with the fields of Kubernetes: none may be forgotten on either
// side.
func TestKubernetesSettingsAreTheStruct(t *testing.T) {
	fields := slices.Sorted(maps.Keys(fieldsOf(reflect.TypeFor[Kubernetes]())))
	var arguments []string
	for _, a := range kubernetesSettings.arguments {
		if a.Name != "pod_overlay" { // it is no JSON of its own
			arguments = append(arguments, a.Name)
		}
	}
	slices.Sort(arguments)
	if d := cmp.Diff(fields, arguments); d != "" {
		t.Errorf("-fields +arguments:\n%s", d)
	}
}

// TestKubernetesPipelinesShareNothing overrides what is merged and what is replaced in one pipeline, and looks at
// another.
func TestKubernetesPipelinesShareNothing(t *testing.T) {
	const block = "kubernetes {\n" +
		"labels = { a = \"1\" }\nannotations = { a = \"1\" }\nnode_selector = { a = \"1\" }\ntools = { a = \"1\" }\nimage_pull_secrets = [\"a\", \"b\"]\n" +
		"resources = { limits = { cpu = 3 } }\nhelper_resources = { limits = { cpu = 3 } }\n" +
		"tolerations = [{ key = \"a\" }]\nsecurity_context = { runAsUser = 1 }\n}\n"
	pipeline := func(name, body string) string {
		return "pipeline \"" + name + "\" {\n processor \"outcome\" {}\n" + body + "}\n"
	}
	other := strings.NewReplacer("a = \"1\"", "a = \"2\"", "\"a\", \"b\"", "\"c\"", "= 3", "= 2", "key = \"a\"", "value = \"b\"", "= 1", "= 9").Replace(block)
	alone := load(t, block+pipeline("last", "")).Pipelines[0].Kubernetes
	c := load(t, block+pipeline("first", other)+pipeline("last", ""))
	if d := cmp.Diff(alone, c.Pipelines[1].Kubernetes); d != "" {
		t.Errorf("a pipeline changes another one (-alone +with):\n%s", d)
	}
	first := c.Pipelines[0].Kubernetes
	if d := cmp.Diff([]corev1.Toleration{{Value: "b"}}, first.Tolerations); d != "" {
		t.Errorf("a value that is replaced keeps a part of the old one:\n%s", d)
	}
}

// TestRequestsAgainstLimits is about what a pipeline ends up with.
func TestRequestsAgainstLimits(t *testing.T) {
	for name, test := range map[string]struct {
		root, pipeline string
		want           string
	}{
		"a pipeline mends what is above":   {`limits = { memory = "512Mi" }`, `requests = { memory = "256Mi" }`, ""},
		"no limit any more":                {`limits = { memory = null }`, `requests = { memory = "4Gi" }`, ""},
		"equal":                            {`limits = { memory = "2Gi" }`, `requests = { memory = "2048Mi" }`, ""},
		"a removed request":                {`limits = { memory = "512Mi" }`, `requests = { memory = null }`, ""},
		"the pipeline's limit":             {`requests = { cpu = "900m" }`, `limits = { cpu = "800m" }`, "1:47"},
		"removed and given again":          {`limits = { cpu = null }`, `limits = { cpu = "800m" }`, "3:46"},
		"a limit in place of the default":  {``, `limits = { cpu = "800m" }`, "3:46"},
		"the request of the pipeline":      {`limits = { cpu = "800m" }`, `requests = { cpu = "900m" }`, "3:48"},
		"a resource with a domain and a /": {`requests = { "example.com/a" = 3 }`, `limits = { "example.com/a" = 2 }`, "1:59"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "kubernetes { resources = { " + test.root + " } }\npipeline \"default\" {\n kubernetes { resources = { " + test.pipeline + " } }\n processor \"outcome\" {}\n}\n"
			_, diags := parse(&diag.File{Name: "runner.hcl", Text: []byte(text)})
			got := ""
			for _, d := range diags {
				got += strings.TrimPrefix(d.Range.String(), "runner.hcl:")
			}
			if !strings.HasPrefix(got, test.want) || (test.want == "") != (got == "") {
				t.Errorf("got %q, want %q: %v", got, test.want, diags)
			}
		})
	}
}

// TestOverlayOfAFile reads an overlay from beside the configuration.
func TestOverlayOfAFile(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "overlay.json"), `{"spec": {"hostNetwork": false}}`)
	writeFile(t, filepath.Join(dir, "runner.hcl"), "kubernetes {\n  pod_overlay = file(\"overlay.json\")\n}\npipeline \"a\" {\n  processor \"outcome\" {}\n}\n")
	c, diags := Load(filepath.Join(dir, "runner.hcl"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got := string(c.Pipelines[0].Kubernetes.PodOverlay); got != `{"spec":{"hostNetwork":false}}` {
		t.Errorf("got %s", got)
	}
}

// TestBatchBytes: no batch is so large that its job would have to wait for it.
func TestBatchBytes(t *testing.T) {
	for _, c := range []struct {
		executor          string
		most, spool, want int64
	}{
		{"", 1_000_000, 64 << 20, 1_000_000},
		{"kubernetes", 8 << 20, 64 << 20, 8 << 20},
		{"kubernetes", 1_000_000, 256 << 10, 64 << 10},
		{"local", 1_000_000, 256 << 10, 1_000_000},
	} {
		p := &Pipeline{Executor: c.executor, Deliver: Deliver{MaxBytes: c.most}, Kubernetes: Kubernetes{SpoolSize: c.spool}}
		if got := p.BatchBytes(); got != c.want {
			t.Errorf("executor %q, max_bytes %d, spool_size %d: %d, want %d", c.executor, c.most, c.spool, got, c.want)
		}
	}
}
