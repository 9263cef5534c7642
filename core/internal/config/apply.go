package config

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// ApplyOverlay returns a pod with an overlay that ParseOverlay has returned; the pod that is given stays as it is. Core's
// containers stay before all others and in their order, as the first of them has to be started first, which the patch
// alone would not see to. What is said of one that the pod does not have, as a job need not have the step init, is left
// out.
func ApplyOverlay(pod *corev1.Pod, overlay []byte) (*corev1.Pod, error) {
	if overlay == nil {
		return pod.DeepCopy(), nil
	}
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode the pod: %w", err)
	}
	if text, err = strategicpatch.StrategicMergePatch(text, overlay, corev1.Pod{}); err != nil {
		return nil, fmt.Errorf("apply pod_overlay: %w", err)
	}
	out := &corev1.Pod{}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("apply pod_overlay: %w", err)
	}
	place := func(c corev1.Container) int {
		return slices.IndexFunc(pod.Spec.Containers, func(own corev1.Container) bool { return own.Name == c.Name })
	}
	var own, added []corev1.Container
	for _, c := range out.Spec.Containers {
		switch {
		case place(c) >= 0:
			own = append(own, c)
		case !slices.Contains(ownedContainers, c.Name):
			added = append(added, c)
		}
	}
	slices.SortFunc(own, func(a, b corev1.Container) int { return place(a) - place(b) })
	out.Spec.Containers = append(own, added...)
	return out, nil
}
