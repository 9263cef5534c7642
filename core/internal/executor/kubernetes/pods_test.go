package kubernetes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

func podOf(uid types.UID, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "jobs", UID: uid},
		Spec:       corev1.PodSpec{NodeName: node},
	}
}

func TestWatched(t *testing.T) {
	type news struct {
		pod  *corev1.Pod
		gone bool
		is   bool // the run says that this is its pod
	}
	for _, c := range []struct {
		name string
		news []news
		uid  types.UID
		node string
		gone bool
	}{
		{"nothing", nil, "", "", false},
		{"made, then news", []news{{pod: podOf("a", ""), is: true}, {pod: podOf("a", "n")}}, "a", "n", false},
		{"news, then made: the news are newer", []news{{pod: podOf("a", "n")}, {pod: podOf("a", ""), is: true}}, "a", "n", false},
		{"gone", []news{{pod: podOf("a", ""), is: true}, {pod: podOf("a", "n"), gone: true}}, "a", "n", true},
		{"gone before it was made", []news{{pod: podOf("a", ""), gone: true}}, "", "", false},
		{"an earlier one, gone", []news{{pod: podOf("old", "n")}, {pod: podOf("old", "n"), gone: true}, {pod: podOf("a", ""), is: true}}, "a", "", false},
		{
			"news of the new one before it is known which one it is",
			[]news{{pod: podOf("old", "n")}, {pod: podOf("old", "n"), gone: true}, {pod: podOf("a", "n")}, {pod: podOf("a", "n2"), gone: true}, {pod: podOf("a", ""), is: true}},
			"a", "n2", true,
		},
		{"late news of an earlier one", []news{{pod: podOf("a", ""), is: true}, {pod: podOf("old", "n")}, {pod: podOf("old", "n"), gone: true}}, "a", "", false},
		{"a later one", []news{{pod: podOf("a", "n"), is: true}, {pod: podOf("a", "n"), gone: true}, {pod: podOf("b", "n2")}}, "a", "n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &watched{name: "x", C: make(chan struct{}, 1)}
			for _, n := range c.news {
				if n.is {
					w.is(n.pod)
				} else {
					w.see(n.pod, n.gone)
				}
			}
			pod, gone := w.latest()
			if gone != c.gone || (pod == nil) != (c.uid == "") {
				t.Fatalf("got %v, gone %v", pod, gone)
			}
			if pod != nil && (pod.UID != c.uid || pod.Spec.NodeName != c.node) {
				t.Errorf("got the pod %q on %q, want %q on %q", pod.UID, pod.Spec.NodeName, c.uid, c.node)
			}
		})
	}
}

func TestPods(t *testing.T) {
	p := newPods(cluster(t), "jobs", &metav1.LabelSelector{MatchLabels: map[string]string{labelName: appName}}, hclog.NewNullLogger())
	first, second := p.watch("x"), p.watch("x")
	other := p.watch("y")
	p.see(podOf("a", "n"), false)
	for i, w := range []*watched{first, second} {
		if pod, _ := w.latest(); pod == nil {
			t.Errorf("run %d of two does not hear of its pod", i+1)
		}
		select {
		case <-w.C:
		default:
			t.Errorf("run %d of two is not told", i+1)
		}
	}
	if pod, _ := other.latest(); pod != nil {
		t.Error("a run hears of the pod of another")
	}
	p.forget(first)
	p.see(cache.DeletedFinalStateUnknown{Key: "jobs/x", Obj: podOf("a", "n")}, true)
	if _, gone := first.latest(); gone {
		t.Error("one that was forgotten is told")
	}
	if _, gone := second.latest(); !gone {
		t.Error("a deletion that the watch has missed is not told")
	}
	p.see("no pod", false)
	p.forget(first)
	p.forget(second)
	p.forget(other)
	if len(p.watched) != 0 {
		t.Errorf("%d names are kept", len(p.watched))
	}
}

func TestTrim(t *testing.T) {
	pod := podOf("a", "n")
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "core"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
	pod.Spec.Containers = []corev1.Container{{
		Name: "job", Image: "i", Command: []string{"x"},
		Resources: corev1.ResourceRequirements{Limits: list("memory", "1Gi"), Requests: list("cpu", "1")},
	}}
	pod.Status.PodIP = "10.0.0.1"
	got, err := trim(pod.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	want := podOf("a", "n")
	want.Spec.Containers = []corev1.Container{{Name: "job", Image: "i", Resources: corev1.ResourceRequirements{Limits: list("memory", "1Gi")}}}
	want.Status.PodIP = "10.0.0.1"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := cache.DeletedFinalStateUnknown{Key: "x"}
	if o, err := trim(other); err != nil || o != any(other) {
		t.Errorf("what is no pod comes out as %v, %v", o, err)
	}
}
