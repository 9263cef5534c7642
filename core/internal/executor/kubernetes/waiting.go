package kubernetes

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podrunner/runner/core/internal/job"
)

// waiting is what a pod waits for whose step does not run yet.
type waiting struct {
	// word is for programs and for the start of a line, message for people.
	word, message string
	// reason is that of the job if nothing changes until its time is up.
	reason job.Reason
	// patience is what there is before the job fails, if waiting is of no use; negative when it may be.
	patience time.Duration
}

// Patience with what waiting does not mend as a rule. A registry that is being filled and a Secret that is being made are
// worth a moment.
const (
	imagePatience  = 3 * time.Second
	configPatience = 5 * time.Second
	forever        = -1
)

// Words for what a pod waits for.
const (
	wordCreating   = "Creating"
	wordScheduling = "Scheduling"
	wordVolumes    = "Volumes"
	wordImagePull  = "ImagePull"
	wordStarting   = "Starting"
)

// explainWait says what a pod waits for. events are those of the pod, the oldest first; they may be missing.
func explainWait(pod *corev1.Pod, events []*corev1.Event) waiting {
	if pod == nil {
		return waiting{wordCreating, "the pod is being made", job.ReasonStartTimeout, forever}
	}
	if w, ok := unscheduled(pod, events); ok {
		return w
	}
	for _, s := range pod.Status.ContainerStatuses {
		if w, ok := containerWaits(s, events); ok {
			return w
		}
	}
	for _, s := range pod.Status.InitContainerStatuses { // those of an overlay
		if w, ok := containerWaits(s, events); ok {
			return w
		}
	}
	return byEvents(pod, events)
}

// unscheduled says why a pod has no node.
func unscheduled(pod *corev1.Pod, events []*corev1.Event) (waiting, bool) {
	if pod.Spec.NodeName != "" {
		return waiting{}, false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return waiting{"Unschedulable", shortage(c.Message) + c.Message, job.ReasonUnschedulable, forever}, true
		}
	}
	if e := newest(events, "FailedScheduling"); e != nil {
		return waiting{"Unschedulable", shortage(e.Message) + e.Message, job.ReasonUnschedulable, forever}, true
	}
	return waiting{wordScheduling, "no node has been chosen yet", job.ReasonUnschedulable, forever}, true
}

// shortages are the kinds of reasons for which the scheduler does not take a node.
var shortages = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`Insufficient |Too many pods`), "no node has enough free resources"},
	{regexp.MustCompile(`untolerated taint`), "nodes have taints that the pod does not tolerate"},
	{regexp.MustCompile(`node affinity/selector|node selector`), "no node is one that node_selector and affinity ask for"},
	{regexp.MustCompile(`anti-affinity|pod affinity|topology spread`), "the rules for where pods may stand together leave no node"},
	{regexp.MustCompile(`[pP]ersistent ?[vV]olume|volume node affinity|PVC`), "a volume is not to be had"},
	{regexp.MustCompile(`unschedulable$|were unschedulable|is unschedulable|no nodes available`), "nodes take no pods"},
}

// shortage says in plain words what the scheduler says.
func shortage(message string) string {
	var texts []string
	for _, s := range shortages {
		if s.pattern.MatchString(message) {
			texts = append(texts, s.text)
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return strings.Join(texts, "; ") + ": "
}

// notFound is what registries and runtimes say of an image that is not there, or not for us.
var notFound = regexp.MustCompile(`(?i)not found|manifest unknown|name unknown|repository does not exist|pull access denied|` +
	`unauthorized|authorization failed|no basic auth credentials|\bdenied: |403 Forbidden|no match for platform|no matching manifest|is not present with pull policy`)

// containerWaits says why a container does not run; false when it does, or says nothing of interest.
func containerWaits(s corev1.ContainerStatus, events []*corev1.Event) (waiting, bool) {
	w := s.State.Waiting
	if w == nil {
		return waiting{}, false
	}
	of := fmt.Sprintf("container %q: ", s.Name)
	image := fmt.Sprintf("image %q: ", s.Image)
	switch w.Reason {
	case "InvalidImageName":
		return waiting{"InvalidImageName", of + w.Message, job.ReasonImageInvalid, 0}, true
	case "ErrImageNeverPull":
		return waiting{"ImageNotFound", of + w.Message, job.ReasonImageNotFound, imagePatience}, true
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		message := pullFailure(s.Image, w, events)
		if notFound.MatchString(message) {
			return waiting{"ImageNotFound", of + image + message, job.ReasonImageNotFound, imagePatience}, true
		}
		return waiting{w.Reason, of + image + message, job.ReasonImagePull, forever}, true
	case "CreateContainerConfigError":
		return waiting{w.Reason, of + w.Message, job.ReasonContainerConfig, configPatience}, true
	case "CreateContainerError", "RunContainerError", "PostStartHookError", "CrashLoopBackOff":
		return waiting{w.Reason, of + w.Message, job.ReasonContainerStart, configPatience}, true
	}
	return waiting{}, false
}

// pullFailure says why an image could not be pulled. While the kubelet waits before it tries again, that of a Kubernetes
// before 1.31 says only that it does; then the event of the attempt tells.
func pullFailure(image string, w *corev1.ContainerStateWaiting, events []*corev1.Event) string {
	if w.Reason != "ImagePullBackOff" || strings.Contains(w.Message, "ErrImagePull") {
		return w.Message
	}
	for i := len(events) - 1; i >= 0; i-- {
		if e := events[i]; e.Reason == "Failed" && strings.HasPrefix(e.Message, fmt.Sprintf("Failed to pull image %q: ", image)) {
			return e.Message
		}
	}
	return w.Message
}

// byEvents says what a pod waits for that has a node, and whose containers say nothing.
func byEvents(pod *corev1.Pod, events []*corev1.Event) waiting {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		switch e.Reason {
		case "FailedMount", "FailedAttachVolume", "FailedMapVolume":
			return waiting{e.Reason, e.Message, job.ReasonVolume, forever}
		case "FailedCreatePodSandBox":
			return waiting{e.Reason, e.Message, job.ReasonStartTimeout, forever}
		case "Pulling":
			return waiting{wordImagePull, lowerFirst(e.Message), job.ReasonImagePull, forever}
		case "Pulled", "Created", "Started":
			return waiting{wordStarting, "the containers are being started", job.ReasonStartTimeout, forever}
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue {
			return waiting{wordStarting, "the containers are being started", job.ReasonStartTimeout, forever}
		}
	}
	return waiting{wordVolumes, fmt.Sprintf("node %q prepares the pod's volumes and network", pod.Spec.NodeName), job.ReasonStartTimeout, forever}
}

// newest returns the newest event of a reason.
func newest(events []*corev1.Event, reason string) *corev1.Event {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Reason == reason {
			return events[i]
		}
	}
	return nil
}

func lowerFirst(text string) string {
	if text == "" {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}
