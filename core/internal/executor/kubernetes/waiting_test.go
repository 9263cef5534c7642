package kubernetes

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podrunner/runner/core/internal/job"
)

// waits is a pod on a node whose container waits.
func waits(container, reason, message string) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{NodeName: "node-1"},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: helperContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Name: container, Image: "alpine:none", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}},
		}},
	}
}

// unplaced is a pod for which the scheduler has found no node.
func unplaced(message string) *corev1.Pod {
	return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message},
	}}}
}

func placed() *corev1.Pod { return &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-1"}} }

// happened are events, a reason and a message in turn.
func happened(in ...string) []*corev1.Event {
	var events []*corev1.Event
	for i := 0; i < len(in); i += 2 {
		events = append(events, &corev1.Event{Reason: in[i], Message: in[i+1]})
	}
	return events
}

// TestExplainWait has what clusters say, word for word.
func TestExplainWait(t *testing.T) {
	const backOff = `Back-off pulling image "alpine:none"`
	for _, c := range []struct {
		name     string
		pod      *corev1.Pod
		events   []*corev1.Event
		word     string
		reason   job.Reason
		patience time.Duration
		message  string // is in the message
	}{
		{"no pod", nil, nil, wordCreating, job.ReasonStartTimeout, forever, "is being made"},
		{"not scheduled yet", &corev1.Pod{}, nil, wordScheduling, job.ReasonUnschedulable, forever, "no node has been chosen"},
		{
			"too little of everything",
			unplaced("0/3 nodes are available: 1 Insufficient memory, 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "no node has enough free resources: 0/3 nodes",
		},
		{
			"a taint", unplaced("0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "nodes have taints that the pod does not tolerate: 0/1",
		},
		{
			"a node selector", unplaced("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "no node is one that node_selector and affinity ask for: 0/1",
		},
		{
			"anti-affinity", unplaced("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "the rules for where pods may stand together leave no node: 0/1",
		},
		{
			"spread", unplaced("0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "the rules for where pods may stand together leave no node: 0/2",
		},
		{
			"a claim that is not bound", unplaced("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "a volume is not to be had: 0/1",
		},
		{
			"a claim that is missing", unplaced(`0/1 nodes are available: persistentvolumeclaim "cache" not found.`),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "a volume is not to be had: 0/1",
		},
		{
			"cordoned", unplaced("0/1 nodes are available: 1 node(s) were unschedulable."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "nodes take no pods: 0/1",
		},
		{
			"two reasons", unplaced("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."),
			nil, "Unschedulable", job.ReasonUnschedulable, forever, "no node has enough free resources; nodes have taints that the pod does not tolerate: ",
		},
		{
			"by an event alone", &corev1.Pod{}, happened("FailedScheduling", "0/1 nodes are available: 1 Too many pods."),
			"Unschedulable", job.ReasonUnschedulable, forever, "no node has enough free resources: 0/1",
		},

		{
			"not the name of an image", waits("job", "InvalidImageName", `Failed to apply default image tag "A B": couldn't parse image name "A B": invalid reference format`),
			nil, "InvalidImageName", job.ReasonImageInvalid, 0, `container "job": Failed to apply`,
		},
		{
			"not on the node", waits("job", "ErrImageNeverPull", `Container image "alpine:none" is not present with pull policy of Never`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, "pull policy of Never",
		},
		{
			"no such tag", waits("job", "ErrImagePull", `failed to pull and unpack image "docker.io/library/alpine:none": failed to resolve reference "docker.io/library/alpine:none": docker.io/library/alpine:none: not found`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, `container "job": image "alpine:none": failed to pull`,
		},
		{
			"no such repository", waits("init", "ErrImagePull", `pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, `container "init": `,
		},
		{
			"manifest unknown", waits("job", "ErrImagePull", `reading manifest none in quay.io/x/y: manifest unknown`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, "manifest unknown",
		},
		{
			"forbidden", waits("job", "ErrImagePull", `failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=x: 403 Forbidden`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, "403",
		},
		{
			"no credentials", waits("job", "ErrImagePull", `rpc error: code = Unknown desc = pulling from host 1.dkr.ecr.eu-west-1.amazonaws.com failed: no basic auth credentials`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, "no basic auth",
		},
		{
			"another platform", waits("job", "ErrImagePull", `failed to pull and unpack image "x": no match for platform in manifest: not found`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, "platform",
		},
		{
			"waiting to try again, since 1.31", waits("job", "ImagePullBackOff", backOff+`: ErrImagePull: failed to pull and unpack image "x": not found`),
			nil, "ImageNotFound", job.ReasonImageNotFound, imagePatience, "not found",
		},
		{
			"waiting to try again, before 1.31", waits("job", "ImagePullBackOff", backOff),
			happened("Failed", `Failed to pull image "alpine:none": rpc error: code = NotFound desc = alpine:none: not found`, "Failed", "Error: ErrImagePull", "BackOff", backOff),
			"ImageNotFound", job.ReasonImageNotFound, imagePatience, "code = NotFound",
		},
		{
			"waiting to try another image again", waits("job", "ImagePullBackOff", backOff),
			happened("Failed", `Failed to pull image "other": not found`), "ImagePullBackOff", job.ReasonImagePull, forever, backOff,
		},
		{
			"the registry is away", waits("job", "ErrImagePull", `failed to do request: Head "https://registry.example.com/v2/x": dial tcp: lookup registry.example.com on 10.0.0.10:53: no such host`),
			nil, "ErrImagePull", job.ReasonImagePull, forever, "no such host",
		},
		{
			"too many pulls", waits("job", "ImagePullBackOff", backOff+`: ErrImagePull: unexpected status code 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit`),
			nil, "ImagePullBackOff", job.ReasonImagePull, forever, "toomanyrequests",
		},
		{
			"a certificate", waits("job", "ErrImagePull", `tls: failed to verify certificate: x509: certificate signed by unknown authority`),
			nil, "ErrImagePull", job.ReasonImagePull, forever, "x509",
		},
		{
			"a Secret that is missing", waits("job", "CreateContainerConfigError", `secret "extra" not found`),
			nil, "CreateContainerConfigError", job.ReasonContainerConfig, configPatience, `container "job": secret "extra" not found`,
		},
		{
			"root and restricted", waits("job", "CreateContainerConfigError", `container has runAsNonRoot and image will run as root (pod: "x", container: job)`),
			nil, "CreateContainerConfigError", job.ReasonContainerConfig, configPatience, "runAsNonRoot",
		},
		{
			"the runtime", waits("job", "CreateContainerError", `failed to create containerd task: failed to create shim task: OCI runtime create failed`),
			nil, "CreateContainerError", job.ReasonContainerStart, configPatience, "OCI runtime",
		},
		{
			"the helper's hook", waits("helper", "PostStartHookError", `Exec lifecycle hook failed`),
			nil, "PostStartHookError", job.ReasonContainerStart, configPatience, `container "helper"`,
		},
		{"creating", waits("job", "ContainerCreating", ""), nil, wordVolumes, job.ReasonStartTimeout, forever, `node "node-1"`},
		{"initializing", waits("job", "PodInitializing", ""), nil, wordVolumes, job.ReasonStartTimeout, forever, `node "node-1"`},

		{
			"an init container of an overlay", &corev1.Pod{
				Spec: corev1.PodSpec{NodeName: "node-1"},
				Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
					{Name: "prepare", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: "x"}}},
				}},
			}, nil, "CreateContainerConfigError", job.ReasonContainerConfig, configPatience, `"prepare"`,
		},

		{"a node, and nothing else", placed(), nil, wordVolumes, job.ReasonStartTimeout, forever, `node "node-1" prepares`},
		{"a scheduled one", placed(), happened("Scheduled", "Successfully assigned"), wordVolumes, job.ReasonStartTimeout, forever, "node-1"},
		{
			"a volume", placed(), happened("Scheduled", "x", "FailedMount", `MountVolume.SetUp failed for volume "cache" : configmap "cache" not found`),
			"FailedMount", job.ReasonVolume, forever, "MountVolume.SetUp failed",
		},
		{"an attachment", placed(), happened("FailedAttachVolume", "Multi-Attach error"), "FailedAttachVolume", job.ReasonVolume, forever, "Multi-Attach"},
		{"the network", placed(), happened("FailedCreatePodSandBox", "plugin type=\"bridge\" failed"), "FailedCreatePodSandBox", job.ReasonStartTimeout, forever, "bridge"},
		{"a pull", placed(), happened("FailedMount", "x", "Pulling", `Pulling image "alpine"`), wordImagePull, job.ReasonImagePull, forever, `pulling image "alpine"`},
		{"started", placed(), happened("Pulling", "x", "Started", "Started container helper"), wordStarting, job.ReasonStartTimeout, forever, "being started"},
		{
			"no events, a sandbox", &corev1.Pod{
				Spec:   corev1.PodSpec{NodeName: "node-1"},
				Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}},
			}, nil, wordStarting, job.ReasonStartTimeout, forever, "being started",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := explainWait(c.pod, c.events)
			if w.word != c.word || w.reason != c.reason || w.patience != c.patience || !strings.Contains(w.message, c.message) {
				t.Errorf("got %+v, want word %q, reason %q, patience %s, and in the message %q", w, c.word, c.reason, c.patience, c.message)
			}
			if w.reason.Info().Reason == "" {
				t.Errorf("the reason %q is none of the set", w.reason)
			}
		})
	}
}
