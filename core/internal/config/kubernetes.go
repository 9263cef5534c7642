package config

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kubernetes is the settings of the executor "kubernetes". What is Kubernetes' own is of Kubernetes' own types.
type Kubernetes struct {
	// Kubeconfig is a kubeconfig file; "" means the usual rules: KUBECONFIG, ~/.kube/config, the service account of a pod.
	Kubeconfig string `json:"kubeconfig"`
	// Context is the context of the kubeconfig; "" means its current one.
	Context string `json:"context"`
	// Namespace is where jobs run; "" means that of the context, or of core's own pod.
	Namespace string `json:"namespace"`
	// QPS and Burst bound the requests a second that core sends to the API server.
	QPS   int `json:"qps"`
	Burst int `json:"burst"`
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

	// PodOverlay is a strategic merge patch for the pod, as JSON; nil for none.
	PodOverlay []byte `json:"-"`
}

// Transports are the ways in which core reaches a pod: by itself, to the pod's address, or through the API server.
var Transports = []string{"auto", "direct", "port_forward"}
