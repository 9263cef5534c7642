package config

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podrunner/runner/core/internal/spool"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Kubernetes is the settings of the executor "kubernetes". What is Kubernetes' own is of Kubernetes' own types.
type Kubernetes struct {
	// Kubeconfig is a kubeconfig file; Load has joined a relative path with the folder of runner.hcl. "" means the usual
	// rules: KUBECONFIG, ~/.kube/config, the service account of a pod.
	Kubeconfig string `json:"kubeconfig"`
	// Context is the context of the kubeconfig; "" means its current one.
	Context string `json:"context"`
	// Namespace is where jobs run; "" means that of the context, or of core's own pod.
	Namespace string `json:"namespace"`
	// QPS and Burst bound the requests a second that core sends to the API server.
	QPS   int `json:"qps"`
	Burst int `json:"burst"`
	// RequestTimeout bounds a request to the API server, watches excepted.
	RequestTimeout time.Duration `json:"request_timeout"`
	// Transport is how core reaches the helper in a pod, one of Transports.
	Transport string `json:"transport"`

	// StartTimeout bounds the time from the creation of a pod to the start of its first step.
	StartTimeout time.Duration `json:"start_timeout"`
	// Lifetime bounds the time that the steps of a job run, both together.
	Lifetime time.Duration `json:"lifetime"`
	// Grace is the time between TERM and KILL when a job is ended.
	Grace time.Duration `json:"grace"`

	// Shell runs the commands of a step, Workdir is where the job's working directory is made; XTrace makes the shell
	// print each command before it runs it.
	Shell   string `json:"shell"`
	Workdir string `json:"workdir"`
	XTrace  bool   `json:"xtrace"`
	// Tools are programs of the helper's image that the steps find at /mount, by the names that they have there.
	Tools map[string]string `json:"tools"`
	// SpoolSize bounds, in bytes, what is kept of a step's output that core has not fetched.
	SpoolSize int64 `json:"spool_size"`

	// HelperImage is the image of the helper container, HelperPullPolicy and HelperResources are that container's.
	HelperImage      string                      `json:"helper_image"`
	HelperPullPolicy corev1.PullPolicy           `json:"helper_pull_policy"`
	HelperResources  corev1.ResourceRequirements `json:"helper_resources"`
	// PullPolicy and Resources are those of the steps' containers.
	PullPolicy corev1.PullPolicy           `json:"pull_policy"`
	Resources  corev1.ResourceRequirements `json:"resources"`
	// AgentMode runs the steps privileged and as root.
	AgentMode bool `json:"agent_mode"`
	// PodSecurity is "restricted" for pods that pass this pod security level as a whole, else "".
	PodSecurity string `json:"pod_security"`
	// DisruptionBudget keeps one PodDisruptionBudget for all job pods of the namespace.
	DisruptionBudget bool `json:"disruption_budget"`

	ServiceAccount               string            `json:"service_account"`
	AutomountServiceAccountToken bool              `json:"automount_service_account_token"`
	Labels                       map[string]string `json:"labels"`
	Annotations                  map[string]string `json:"annotations"`
	NodeSelector                 map[string]string `json:"node_selector"`
	ImagePullSecrets             []string          `json:"image_pull_secrets"`
	PriorityClass                string            `json:"priority_class"`
	RuntimeClass                 string            `json:"runtime_class"`
	DNSPolicy                    corev1.DNSPolicy  `json:"dns_policy"`

	SecurityContext           *corev1.PodSecurityContext        `json:"security_context"`
	Tolerations               []corev1.Toleration               `json:"tolerations"`
	Affinity                  *corev1.Affinity                  `json:"affinity"`
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topology_spread_constraints"`
	HostAliases               []corev1.HostAlias                `json:"host_aliases"`
	// Volumes are added to the pod, VolumeMounts to the steps' containers.
	Volumes      []corev1.Volume      `json:"volumes"`
	VolumeMounts []corev1.VolumeMount `json:"volume_mounts"`

	// PodOverlay is a strategic merge patch for the pod, as JSON, that ParseOverlay has checked; nil for none.
	// ApplyOverlay applies it.
	PodOverlay []byte `json:"-"`
}

// Transports are the ways in which core reaches a pod: by itself, to the pod's address, or through the API server.
var Transports = []string{"auto", "direct", "port_forward"}

// MaxRequestTimeout is the most that request_timeout can be: a server that has not answered by then does not.
const MaxRequestTimeout = 5 * time.Minute

// Bounds of a spool. The least is that of package spool in round numbers; the most because it lies on the disk of a node,
// beside those of all other jobs there.
const (
	minSpoolSize = 256 << 10
	maxSpoolSize = 16 << 30

	_ = uint(minSpoolSize - spool.MinBytes) // does not compile when the least is too little
)

// kubernetesSettings are the arguments of the block `kubernetes`.
var kubernetesSettings = settings{arguments: []argument{
	attribute("kubeconfig", pluginv1.Kind_KIND_STRING, kubeconfig),
	attribute("context", pluginv1.Kind_KIND_STRING, notEmpty),
	attribute("namespace", pluginv1.Kind_KIND_STRING, dnsLabel),
	attribute("qps", pluginv1.Kind_KIND_INT, between(1, 10_000, decimal)),
	attribute("burst", pluginv1.Kind_KIND_INT, between(1, 1_000_000, decimal)),
	attribute("request_timeout", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(MaxRequestTimeout), durationText)),
	oneOf("transport", Transports...),

	attribute("start_timeout", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(24*time.Hour), durationText)),
	attribute("lifetime", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(30*24*time.Hour), durationText)),
	attribute("grace", pluginv1.Kind_KIND_DURATION, between(0, int64(time.Hour), durationText)),
	attribute("shell", pluginv1.Kind_KIND_STRING, absolute),
	attribute("workdir", pluginv1.Kind_KIND_STRING, workdir),
	attribute("xtrace", pluginv1.Kind_KIND_BOOL, nil),
	tools,
	attribute("spool_size", pluginv1.Kind_KIND_BYTES, between(minSpoolSize, maxSpoolSize, byteSize)),

	attribute("helper_image", pluginv1.Kind_KIND_STRING, image),
	oneOf("helper_pull_policy", pullPolicies...),
	merged(native[corev1.ResourceRequirements]("helper_resources")),
	oneOf("pull_policy", pullPolicies...),
	merged(native[corev1.ResourceRequirements]("resources")),
	attribute("agent_mode", pluginv1.Kind_KIND_BOOL, nil),
	oneOf("pod_security", "restricted"),
	attribute("disruption_budget", pluginv1.Kind_KIND_BOOL, nil),

	attribute("service_account", pluginv1.Kind_KIND_STRING, dnsName),
	attribute("automount_service_account_token", pluginv1.Kind_KIND_BOOL, nil),
	stringMap("labels", ownLabelKey, labelValue),
	stringMap("annotations", ownAnnotationKey, nil),
	stringMap("node_selector", labelKey, labelValue),
	list("image_pull_secrets", dnsName),
	attribute("priority_class", pluginv1.Kind_KIND_STRING, dnsName),
	attribute("runtime_class", pluginv1.Kind_KIND_STRING, dnsName),
	oneOf("dns_policy", dnsPolicies...),

	native[corev1.PodSecurityContext]("security_context"),
	native[[]corev1.Toleration]("tolerations"),
	native[corev1.Affinity]("affinity"),
	native[[]corev1.TopologySpreadConstraint]("topology_spread_constraints"),
	native[[]corev1.HostAlias]("host_aliases"),
	native[[]corev1.Volume]("volumes"),
	native[[]corev1.VolumeMount]("volume_mounts"),
	attribute("pod_overlay", pluginv1.Kind_KIND_STRING, nil),
}}

func merged(a argument) argument {
	a.merge = true
	return a
}
