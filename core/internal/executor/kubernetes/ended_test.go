package kubernetes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podrunner/runner/core/internal/job"
)

// terminates is the status of a container that has ended.
func terminates(container string, t corev1.ContainerStateTerminated) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: container, State: corev1.ContainerState{Terminated: &t}}
}

// disruption is what the control plane and the kubelet note on a pod that they end.
func disruption(reason, message string) []corev1.PodCondition {
	return []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse},
		{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message},
	}
}

func TestExplainEnd(t *testing.T) {
	now := metav1.Now()
	killed := terminates("job", corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"})
	for _, c := range []struct {
		name    string
		status  corev1.PodStatus
		deleted bool
		gone    bool
		reason  job.Reason // none when it has not ended
		message string
		code    int
	}{
		{name: "runs", status: corev1.PodStatus{Phase: corev1.PodRunning}},
		{name: "a step has ended, with an exit code alone", status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{killed}}},
		{name: "preempted by the scheduler", status: corev1.PodStatus{
			Conditions:        disruption("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
			ContainerStatuses: []corev1.ContainerStatus{killed},
		}, deleted: true, reason: job.ReasonPreempted, message: "a higher priority pod"},
		{name: "preempted by the kubelet", status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Preempting", Message: "Preempted in order to admit critical pod",
			Conditions: disruption("TerminationByKubelet", "Pod was preempted by Kubelet to accommodate a critical pod."),
		}, reason: job.ReasonPreempted, message: "critical pod"},
		{name: "evicted by the API", status: corev1.PodStatus{
			Conditions: disruption("EvictionByEvictionAPI", "Eviction API: evicting"),
		}, deleted: true, reason: job.ReasonEvicted, message: `evicted from the node "node-1": Eviction API`},
		{name: "evicted by the kubelet", status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory.",
			Conditions:        disruption("TerminationByKubelet", "The node was low on resource: memory."),
			ContainerStatuses: []corev1.ContainerStatus{terminates("job", corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})},
		}, reason: job.ReasonEvicted, message: "low on resource"},
		{name: "too much disk", status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Evicted", Message: "Pod ephemeral local storage usage exceeds the total limit of containers 64Mi.",
		}, reason: job.ReasonEvicted, message: "ephemeral local storage"},
		{name: "the node shuts down", status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Terminated", Message: "Pod was terminated in response to imminent node shutdown.",
			Conditions: disruption("TerminationByKubelet", "Pod was terminated in response to imminent node shutdown."),
		}, reason: job.ReasonNodeLost, message: "node shutdown"},
		{name: "a node with a taint", status: corev1.PodStatus{
			Conditions: disruption("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
		}, deleted: true, reason: job.ReasonNodeLost, message: `the node "node-1" was lost`},
		{name: "garbage collected", status: corev1.PodStatus{
			Conditions: disruption("DeletionByPodGC", "PodGC: node no longer exists"),
		}, gone: true, reason: job.ReasonNodeLost, message: "no longer exists"},
		{
			name: "the node is not heard of", status: corev1.PodStatus{Reason: "NodeLost", Message: "Node node-1 which was running pod is unresponsive"},
			deleted: true, reason: job.ReasonNodeLost, message: "unresponsive",
		},
		{name: "its deadline", status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline",
			ContainerStatuses: []corev1.ContainerStatus{killed},
		}, reason: job.ReasonLifetime, message: "activeDeadlineSeconds"},
		{name: "out of memory", status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}),
		}}, reason: job.ReasonOOMKilled, message: `step "job" was killed: it used all the memory of its limit (1Gi)`, code: 137},
		{name: "a tool that the helper's image lacks", status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "no such file"}),
			terminates("helper", corev1.ContainerStateTerminated{ExitCode: 78, Reason: "Error", Message: "the tool \"x\" is to be …\n"}),
		}}, reason: job.ReasonContainerStart, message: `the helper image "helper:1" lacks what tools in runner.hcl ask for: the tool "x" is to be …. Set helper_image`},
		{name: "a program that there is not", status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("init", corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "exec: /mount/runner-helper: exec format error"}),
		}}, reason: job.ReasonContainerStart, message: "exec format error"},
		{name: "nobody knows", status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			terminates("job", corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the pod was terminated"}),
		}}, reason: job.ReasonNodeLost, message: "could not be located"},
		{name: "deleted", status: corev1.PodStatus{Phase: corev1.PodRunning}, deleted: true, reason: job.ReasonPodDeleted, message: "was deleted"},
		{name: "gone", status: corev1.PodStatus{Phase: corev1.PodRunning}, gone: true, reason: job.ReasonPodDeleted, message: "was deleted"},
		{name: "the helper has ended", status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			terminates(helperContainer, corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "panic"}),
		}}, reason: job.ReasonInfrastructure, message: "ended while the job ran: exit code 2: panic"},
		{name: "a sidecar out of memory", status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			terminates("proxy", corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}),
		}}},
		{name: "ended well, with no evidence", status: corev1.PodStatus{Phase: corev1.PodSucceeded}, reason: job.ReasonInfrastructure, message: "(phase Succeeded)"},
		{name: "refused by the kubelet", status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "Pod was rejected: Node didn't have enough resource: cpu",
		}, reason: job.ReasonInfrastructure, message: "(phase Failed, OutOfcpu, Pod was rejected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{Status: c.status, Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{
				{Name: "job", Resources: corev1.ResourceRequirements{Limits: list("memory", "1Gi")}},
				{Name: "helper", Image: "helper:1"},
			}}}
			if c.deleted {
				pod.DeletionTimestamp = &now
			}
			e, ok := explainEnd(pod, c.gone)
			if ok != (c.reason != "") || e.reason != c.reason || !strings.Contains(e.message, c.message) {
				t.Fatalf("got %v %+v, want the reason %q, and in the message %q", ok, e, c.reason, c.message)
			}
			if !ok {
				return
			}
			res := e.result()
			if res.Outcome == job.Success || res.Outcome != c.reason.Info().Outcome {
				t.Errorf("the outcome is %q", res.Outcome)
			}
			if (res.ExitCode != nil) != (c.code != 0) || res.ExitCode != nil && *res.ExitCode != c.code {
				t.Errorf("the exit code is %v, want %d", res.ExitCode, c.code)
			}
		})
	}
}
