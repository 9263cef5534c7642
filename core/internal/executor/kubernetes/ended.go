package kubernetes

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/tool"
)

// end is what the cluster says of a pod that has come to its end before its job had.
type end struct {
	reason  job.Reason
	message string
	// exitCode is that of the step's container, if it has one.
	exitCode *int
}

func (e end) result() executor.Result {
	return executor.Result{Outcome: e.reason.Info().Outcome, Reason: e.reason, Message: e.message, ExitCode: e.exitCode}
}

// explainEnd says why a pod has come to an end; false when it has not, as far as is known. What was done to the pod as a
// whole comes first: containers are killed for it.
func explainEnd(pod *corev1.Pod, gone bool) (end, bool) {
	// The kubelet's own reason tells more than the condition that it sets besides.
	if e, ok := failedAsAWhole(pod); ok {
		return e, true
	}
	if e, ok := disrupted(pod); ok {
		return e, true
	}
	if e, ok := toolMissing(pod); ok {
		return e, true
	}
	for _, s := range pod.Status.ContainerStatuses {
		if isStep(s.Name) {
			if e, ok := stepEnded(pod, s); ok {
				return e, true
			}
		}
	}
	if gone || pod.DeletionTimestamp != nil {
		return end{reason: job.ReasonPodDeleted, message: "the pod was deleted while its job ran"}, true
	}
	for _, s := range pod.Status.ContainerStatuses {
		if t := s.State.Terminated; s.Name == helperContainer && t != nil {
			return end{
				reason:  job.ReasonInfrastructure,
				message: "the helper container, which serves the job's log, ended while the job ran: " + terminated(t),
			}, true
		}
	}
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return end{
			reason:  job.ReasonInfrastructure,
			message: fmt.Sprintf("the pod ended (phase %s%s) with no evidence of how its job did", pod.Status.Phase, said(pod)),
		}, true
	}
	return end{}, false
}

// said is what the status of a pod says besides its phase, as when a kubelet has refused it.
func said(pod *corev1.Pod) string {
	text := ""
	for _, part := range []string{pod.Status.Reason, pod.Status.Message} {
		if part != "" {
			text += ", " + part
		}
	}
	return text
}

// disrupted reads the condition that the control plane and the kubelet set on pods that they end.
func disrupted(pod *corev1.Pod) (end, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Reason {
		case corev1.PodReasonPreemptionByScheduler:
			return end{reason: job.ReasonPreempted, message: "the pod was preempted: " + c.Message}, true
		case "DeletionByTaintManager", "DeletionByPodGC":
			return end{reason: job.ReasonNodeLost, message: fmt.Sprintf("the node %q was lost: %s", pod.Spec.NodeName, c.Message)}, true
		}
		return end{reason: job.ReasonEvicted, message: fmt.Sprintf("the pod was evicted from the node %q: %s", pod.Spec.NodeName, c.Message)}, true
	}
	return end{}, false
}

// failedAsAWhole reads the reason of the pod's status.
func failedAsAWhole(pod *corev1.Pod) (end, bool) {
	message := pod.Status.Message
	switch pod.Status.Reason {
	case "Preempting":
		return end{reason: job.ReasonPreempted, message: "the pod was preempted: " + message}, true
	case "Evicted", "TerminationByKubelet":
		return end{reason: job.ReasonEvicted, message: fmt.Sprintf("the pod was evicted from the node %q: %s", pod.Spec.NodeName, message)}, true
	case "DeadlineExceeded":
		return end{reason: job.ReasonLifetime, message: "the pod ran longer than its activeDeadlineSeconds, which stand for the job's lifetime"}, true
	case "NodeLost", "NodeShutdown", "Terminated", "Shutdown":
		return end{reason: job.ReasonNodeLost, message: fmt.Sprintf("the node %q was lost: %s", pod.Spec.NodeName, message)}, true
	}
	return end{}, false
}

// stepEnded says how a step's container ended, if it did and there is more to tell than its exit code.
func stepEnded(pod *corev1.Pod, s corev1.ContainerStatus) (end, bool) {
	t := s.State.Terminated
	if t == nil {
		return end{}, false
	}
	code := int(t.ExitCode)
	switch t.Reason {
	case "OOMKilled":
		return end{reason: job.ReasonOOMKilled, exitCode: &code, message: fmt.Sprintf(
			"the container of step %q was killed: it used all the memory of its limit%s", s.Name, inParentheses(limitOf(pod, s.Name)))}, true
	case "StartError", "ContainerCannotRun", "RunContainerError":
		return end{reason: job.ReasonContainerStart, message: fmt.Sprintf("the container of step %q could not be started: %s", s.Name, t.Message)}, true
	case "ContainerStatusUnknown":
		return end{reason: job.ReasonNodeLost, message: fmt.Sprintf("what became of the container of step %q on the node %q is not known: %s", s.Name, pod.Spec.NodeName, t.Message)}, true
	}
	return end{}, false
}

// toolMissing reads what the helper has said when its image lacks a program that is to be at /mount. The steps that were
// started all the same, and did not find the helper, say nothing that counts.
func toolMissing(pod *corev1.Pod) (end, bool) {
	t, over := stepCode(pod, helperContainer)
	if !over || t.ExitCode != tool.CodeMissing {
		return end{}, false
	}
	image := ""
	for _, c := range pod.Spec.Containers {
		if c.Name == helperContainer {
			image = c.Image
		}
	}
	return end{reason: job.ReasonContainerStart, message: fmt.Sprintf(
		"the helper image %q lacks what tools in runner.hcl ask for: %s. Set helper_image to an image that has the program, or take the tool out",
		image, strings.TrimSpace(t.Message))}, true
}

// stepCode returns the exit code of a step's container, once the cluster knows it.
func stepCode(pod *corev1.Pod, step string) (*corev1.ContainerStateTerminated, bool) {
	if pod == nil {
		return nil, false
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == step && s.State.Terminated != nil {
			return s.State.Terminated, true
		}
	}
	return nil, false
}

func terminated(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Signal != 0 {
		text = fmt.Sprintf("signal %d", t.Signal)
	}
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		text += ", " + t.Reason
	}
	if t.Message != "" {
		text += ": " + t.Message
	}
	return text
}

func inParentheses(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
