package kubernetes

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/job"
)

// canaries are the sensitive values of exampleJob: nothing but the Secret may hold them.
var canaries = []string{"canary-of-both", "canary-of-init", "canary-of-main", "canary-hidden", "canary in a line"}

// exampleJob has everything that a job may have.
func exampleJob() *job.Job {
	return &job.Job{
		ID: "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMzQ1", Attempt: 2, Image: "alpine:3",
		Commands:  []string{"echo canary-of-main", "ls"},
		InitImage: "alpine/git:2", InitCommands: []string{"git clone https://canary-of-init@example.com/x"},
		Files: []job.File{
			{Name: "run.sh", Contents: []byte("echo")},
			{Name: "netrc", Contents: []byte("password canary-of-both")},
			{Name: "key", Contents: []byte("\xffa canary in a line")},
		},
		Variables: []job.Variable{
			{Key: "ACCOUNT_ID", Value: "17"},
			{Key: "JOB_TYPE", Value: "canary-of-both"},
			{Key: "BOTH", Value: "canary-of-both", Sensitive: true},
			{Key: "INIT", Value: "canary-of-init", Sensitive: true, Scope: job.ScopeInit},
			{Key: "MAIN", Value: "canary-of-main", Sensitive: true, Scope: job.ScopeMain},
			{Key: "HIDDEN", Value: "canary-hidden", Sensitive: true},
			{Key: "HIDDEN", Value: "seen"},
			{Key: "KEY", Value: "begin of the key\na canary in a line\n", Sensitive: true},
		},
	}
}

func plainJob() *job.Job { return &job.Job{ID: "1", Image: "alpine", Commands: []string{"true"}} }

func withInit() *job.Job {
	return &job.Job{ID: "1", Image: "alpine", Commands: []string{"true"}, InitCommands: []string{"true"}}
}

var podCases = []struct {
	name string
	job  func() *job.Job
	edit func(*testing.T, *config.Kubernetes)
}{
	{"plain", plainJob, nil},
	{"init", withInit, nil},
	{"example", exampleJob, nil},
	{"tools", withInit, func(_ *testing.T, s *config.Kubernetes) {
		s.Tools = map[string]string{"opslevel-runner": "runner-source-faktory", "another": "runner-source-faktory"}
	}},
	{"agent-mode", plainJob, func(_ *testing.T, s *config.Kubernetes) { s.AgentMode = true }},
	{"restricted", withInit, func(_ *testing.T, s *config.Kubernetes) { s.PodSecurity = "restricted" }},
	{"everything", exampleJob, func(_ *testing.T, s *config.Kubernetes) {
		s.StartTimeout, s.Lifetime, s.Grace = 90*time.Second, 90*time.Minute, 1500*time.Millisecond
		s.Shell, s.Workdir, s.XTrace, s.SpoolSize = "/bin/bash", "/work", false, 1<<20
		s.HelperPullPolicy, s.PullPolicy = corev1.PullAlways, corev1.PullNever
		s.Resources = corev1.ResourceRequirements{
			Requests: list("cpu", "250m"), Limits: list("memory", "2Gi", "nvidia.com/gpu", "1"),
			Claims: []corev1.ResourceClaim{{Name: "device"}},
		}
		s.HelperResources = corev1.ResourceRequirements{Limits: list("ephemeral-storage", "1Gi")}
		s.ServiceAccount, s.AutomountServiceAccountToken = "jobs", true
		s.Labels = map[string]string{"team": "platform"}
		s.Annotations = map[string]string{"example.com/note": "yes", annotationSafeToEvict: "true"}
		s.NodeSelector = map[string]string{"pool": "jobs"}
		s.ImagePullSecrets = []string{"registry", "mirror"}
		s.PriorityClass, s.RuntimeClass, s.DNSPolicy = "low", "gvisor", corev1.DNSDefault
		s.PodSecurity = "restricted"
		s.SecurityContext = &corev1.PodSecurityContext{
			RunAsUser: ptr(int64(1000)), FSGroup: ptr(int64(2000)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr("job.json")},
		}
		s.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
		s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}}
		s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway}}
		s.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"git.example.com"}}}
		s.Volumes = []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/cache"}}}}
		s.VolumeMounts = []corev1.VolumeMount{{Name: "cache", MountPath: "/cache"}}
	}},
	{"overlay", plainJob, func(t *testing.T, s *config.Kubernetes) {
		overlay, problems := config.ParseOverlay([]byte(`
metadata: {annotations: {example.com/a: b}}
spec:
  shareProcessNamespace: false
  containers:
    - name: proxy
      image: registry.example.com/proxy:1
    - name: job
      securityContext: {capabilities: {add: [NET_ADMIN]}}
    - name: init
      env: [{name: OF_A_STEP, value: that there is not}]
  initContainers:
    - name: prepare
      image: registry.example.com/prepare:1
`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		s.PodOverlay = overlay
	}},
}

// list makes a list of resources of names and quantities in turn.
func list(in ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(in); i += 2 {
		out[corev1.ResourceName(in[i])] = resource.MustParse(in[i+1])
	}
	return out
}

// podsOf makes the objects of each case.
func podsOf(t *testing.T, each func(t *testing.T, name string, o *objects, p payload, pod *corev1.Pod)) {
	for _, c := range podCases {
		t.Run(c.name, func(t *testing.T) {
			settings := defaults()
			if c.edit != nil {
				c.edit(t, &settings)
			}
			before, err := json.Marshal(settings)
			if err != nil {
				t.Fatal(err)
			}
			o := objectsOf(c.job(), settings)
			if err := o.job.Validate(); err != nil {
				t.Fatal(err)
			}
			p, err := o.payload()
			if err != nil {
				t.Fatal(err)
			}
			pod, err := o.pod(p, "owner-uid")
			if err != nil {
				t.Fatal(err)
			}
			each(t, c.name, o, p, pod)
			after, err := json.Marshal(settings)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("the settings, which all jobs share, are changed:\n%s", diff)
			}
		})
	}
}

func TestPod(t *testing.T) {
	podsOf(t, func(t *testing.T, name string, _ *objects, _ payload, pod *corev1.Pod) {
		text, err := yaml.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "pods/"+name+".yaml", string(text))
	})
}

// TestNoSensitiveValueOutsideTheSecret looks for the sensitive values in all that is not the Secret's data, encoded as the
// API server gets it.
func TestNoSensitiveValueOutsideTheSecret(t *testing.T) {
	podsOf(t, func(t *testing.T, _ string, o *objects, p payload, pod *corev1.Pod) {
		secret := o.secret(p, "owner-uid")
		secret.Data = nil
		c := o.configMap(p)
		for name, object := range map[string]any{"pod": pod, "ConfigMap": c, "the Secret's metadata": secret} {
			text, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			for _, canary := range canaries {
				if strings.Contains(string(text), canary) {
					t.Errorf("%s holds %q", name, canary)
				}
			}
			if strings.Contains(string(text), string(o.keys.Private)) {
				t.Errorf("%s holds the private key", name)
			}
		}
		for key, data := range c.BinaryData {
			for _, canary := range canaries {
				if strings.Contains(string(data), canary) {
					t.Errorf("the ConfigMap's %s holds %q", key, canary)
				}
			}
		}
	})
}

// TestPodHoldsTogether checks what no golden file says: that what is mounted is there, and that what is there is mounted by
// those alone who may see it.
func TestPodHoldsTogether(t *testing.T) {
	podsOf(t, func(t *testing.T, _ string, o *objects, p payload, pod *corev1.Pod) {
		volumes := map[string]corev1.Volume{}
		for _, v := range pod.Spec.Volumes {
			volumes[v.Name] = v
			if v.Projected == nil {
				continue
			}
			for _, s := range v.Projected.Sources {
				if s.Secret != nil {
					for _, item := range s.Secret.Items {
						if _, there := p.secret[item.Key]; !there {
							t.Errorf("volume %q wants %q of the Secret, which does not hold it", v.Name, item.Key)
						}
					}
				}
				if s.ConfigMap != nil {
					for _, item := range s.ConfigMap.Items {
						if _, there := p.open[item.Key]; !there {
							t.Errorf("volume %q wants %q of the ConfigMap, which does not hold it", v.Name, item.Key)
						}
					}
				}
			}
		}
		if pod.Spec.Containers[0].Name != helperContainer {
			t.Error("the helper is not the first container: the steps would not find it")
		}
		for _, c := range pod.Spec.Containers {
			if len(c.Env) > 0 && !isStep(c.Name) || len(c.EnvFrom) > 0 {
				t.Errorf("container %q has variables", c.Name)
			}
			for _, m := range c.VolumeMounts {
				if _, there := volumes[m.Name]; !there {
					t.Errorf("container %q mounts %q, which there is not", c.Name, m.Name)
				}
				if isStep(c.Name) && (m.Name == volumeInputs || strings.HasPrefix(m.Name, "step-") && m.Name != stepVolume(c.Name)) {
					t.Errorf("container %q sees %q", c.Name, m.Name)
				}
				if isStep(c.Name) && (m.Name == volumeTools || m.Name == volumeFiles) && !m.ReadOnly {
					t.Errorf("container %q can write to %q", c.Name, m.Name)
				}
			}
		}
		spec := pod.Spec
		if *spec.AutomountServiceAccountToken != o.settings.AutomountServiceAccountToken || spec.RestartPolicy != corev1.RestartPolicyNever {
			t.Error("the pod has a token that nobody asked for, or is started again")
		}
		if !ownedBy(pod.OwnerReferences, "owner-uid") {
			t.Error("the pod is not owned")
		}
	})
}

func TestDeadlines(t *testing.T) {
	settings := defaults()
	settings.StartTimeout, settings.Lifetime, settings.Grace = time.Minute, time.Hour, 1500*time.Millisecond
	spec := objectsOf(plainJob(), settings).spec()
	if got, want := *spec.ActiveDeadlineSeconds, int64(60+3600+2+600); got != want {
		t.Errorf("activeDeadlineSeconds is %d, want %d", got, want)
	}
	if got, want := *spec.TerminationGracePeriodSeconds, int64(7); got != want {
		t.Errorf("terminationGracePeriodSeconds is %d, want %d", got, want)
	}
}

// TestInitAsksForNothing checks that a pod is not scheduled for the sum of steps that run one after the other.
func TestInitAsksForNothing(t *testing.T) {
	o := objectsOf(withInit(), defaults())
	r := o.stepResources(false)
	for name, quantity := range r.Requests {
		if !quantity.IsZero() {
			t.Errorf("init asks for %s of %s", &quantity, name)
		}
	}
	for name := range r.Limits {
		if _, there := r.Requests[name]; !there {
			t.Errorf("init asks for as much %s as its limit, since it does not say otherwise", name)
		}
	}
	if memory := r.Limits[corev1.ResourceMemory]; memory.Cmp(resource.MustParse("1Gi")) != 0 {
		t.Errorf("init has a limit of %s", &memory)
	}
}

// TestRestricted checks the controls of the pod security level; the end-to-end tests have a namespace that enforces it.
func TestRestricted(t *testing.T) {
	settings := defaults()
	settings.PodSecurity = "restricted"
	for _, context := range []*corev1.PodSecurityContext{nil, {}, {RunAsUser: ptr(int64(7)), RunAsNonRoot: ptr(false)}} {
		settings.SecurityContext = context
		o := objectsOf(exampleJob(), settings)
		p, err := o.payload()
		if err != nil {
			t.Fatal(err)
		}
		pod, err := o.pod(p, "uid")
		if err != nil {
			t.Fatal(err)
		}
		s := pod.Spec.SecurityContext
		if !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile == nil {
			t.Errorf("the pod's context is %v", s)
		}
		for _, c := range pod.Spec.Containers {
			s := c.SecurityContext
			if *s.AllowPrivilegeEscalation || *s.Privileged || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("the context of %q is %v", c.Name, s)
			}
		}
	}
}
