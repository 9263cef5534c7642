package config

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		overlay string
		// want is "line path" of each problem.
		want []string
	}{
		"nothing":                   {"", nil},
		"a comment":                 {"# nothing\n", nil},
		"null":                      {"null", nil},
		"a pod":                     {"apiVersion: v1\nkind: Pod", nil},
		"another kind":              {"apiVersion: v2\nkind: Job", []string{"1 apiVersion", "2 kind"}},
		"the name":                  {"metadata: {name: x, generateName: x, uid: x}", []string{"1 metadata.generateName", "1 metadata.name", "1 metadata.uid"}},
		"the namespace":             {"metadata:\n  namespace: x", []string{"2 metadata.namespace"}},
		"the owner":                 {"metadata:\n  ownerReferences: []", []string{"2 metadata.ownerReferences"}},
		"finalizers":                {"metadata:\n  finalizers: [a/b]", []string{"2 metadata.finalizers"}},
		"labels":                    {"metadata: {labels: {team: x}, annotations: {a: b}}", nil},
		"core's labels":             {"metadata:\n  labels:\n    opslevel.com/x: v\n    mode: x", []string{`3 metadata.labels["opslevel.com/x"]`, "4 metadata.labels.mode"}},
		"core's annotations":        {"metadata: {annotations: {runner.podrunner.dev/x: v}}", []string{`1 metadata.annotations["runner.podrunner.dev/x"]`}},
		"a label of core's removed": {"metadata: {labels: {jobID: null}}", []string{"1 metadata.labels.jobID"}},
		"metadata removed":          {"metadata: null", []string{"1 metadata"}},
		"labels replaced":           {"metadata: {labels: {$patch: replace}}", []string{"1 metadata.labels"}},
		"status":                    {"status: {phase: Running}", []string{"1 status"}},
		"status removed":            {"status: null", []string{"1 status"}},
		"the whole replaced":        {"$patch: replace", []string{"1 "}},
		"spec deleted":              {"spec: {$patch: delete}", []string{"1 spec"}},
		"the pod's life": {
			"spec:\n  restartPolicy: Never\n  activeDeadlineSeconds: 1\n  terminationGracePeriodSeconds: 1",
			[]string{"2 spec.restartPolicy", "3 spec.activeDeadlineSeconds", "4 spec.terminationGracePeriodSeconds"},
		},
		"processes shared":      {"spec: {shareProcessNamespace: true, hostPID: true}", []string{"1 spec.hostPID", "1 spec.shareProcessNamespace"}},
		"processes not shared":  {"spec: {shareProcessNamespace: false, hostPID: false}", nil},
		"host network":          {"spec: {hostNetwork: true, tolerations: [{operator: Exists}]}", nil},
		"a list replaced":       {"spec: {tolerations: [{$patch: replace}, {operator: Exists}]}", nil},
		"a sidecar":             {"spec: {containers: [{name: proxy, image: proxy, command: [run], lifecycle: {}, tty: true}]}", nil},
		"an init container":     {"spec: {initContainers: [{name: warm, image: warm}]}", nil},
		"no name":               {"spec:\n  containers:\n    - image: x\n  initContainers:\n    - image: x\n  volumes:\n    - emptyDir: {}", []string{"3 spec.containers[0]", "5 spec.initContainers[0]", "7 spec.volumes[0]"}},
		"a step's rights":       {"spec: {containers: [{name: job, securityContext: {privileged: true}, env: [{name: A, value: b}], ports: [{containerPort: 1}]}]}", nil},
		"a step's program":      {"spec: {containers: [{name: init, command: [], args: [], image: x, stdin: true, tty: true, lifecycle: {}}]}", []string{"1 spec.containers[0].args", "1 spec.containers[0].command", "1 spec.containers[0].image", "1 spec.containers[0].lifecycle", "1 spec.containers[0].stdin", "1 spec.containers[0].tty"}},
		"a step removed":        {"spec: {containers: [{name: job, $patch: delete}]}", []string{"1 spec.containers[0]"}},
		"containers replaced":   {"spec: {containers: [{$patch: replace}, {name: job}]}", []string{"1 spec.containers"}},
		"containers removed":    {"spec: {containers: null}", []string{"1 spec.containers"}},
		"the helper":            {"spec: {containers: [{name: helper, env: [], ports: [], securityContext: {}, volumeMounts: [], resources: {}}]}", []string{"1 spec.containers[0].env", "1 spec.containers[0].ports", "1 spec.containers[0].securityContext", "1 spec.containers[0].volumeMounts"}},
		"variables removed":     {"spec: {containers: [{name: job, env: null, envFrom: [{$patch: replace}]}]}", []string{"1 spec.containers[0].env", "1 spec.containers[0].envFrom"}},
		"a mount removed":       {"spec: {containers: [{name: job, volumeMounts: [{mountPath: /jobs, $patch: delete}]}]}", []string{"1 spec.containers[0].volumeMounts[0]"}},
		"core's volume":         {"spec:\n  volumes:\n    - {name: workspace, emptyDir: {}}\n    - {name: mine, emptyDir: {}}", []string{"3 spec.volumes[0]"}},
		"core's volume removed": {"spec: {volumes: [{name: files, $patch: delete}]}", []string{"1 spec.volumes[0]"}},
		"core's volume mounted": {"spec: {containers: [{name: proxy, volumeMounts: [{name: step-init, mountPath: /x}]}]}", []string{"1 spec.containers[0].volumeMounts[0]"}},
		"a mount over core's":   {"spec: {containers: [{name: job, volumeMounts: [{name: x, mountPath: /mount/}]}]}", []string{"1 spec.containers[0].volumeMounts[0].mountPath"}},
		"a sidecar's own mount": {"spec: {containers: [{name: proxy, volumeMounts: [{name: x, mountPath: /mount}]}]}", nil},
		"core's name for init":  {"spec: {initContainers: [{name: job}]}", []string{"1 spec.initContainers[0]"}},
		"order":                 {"spec: {$setElementOrder/containers: [{name: job}]}", []string{`1 spec["$setElementOrder/containers"]`}},
		"primitive list":        {"metadata: {$deleteFromPrimitiveList/finalizers: [x]}", []string{`1 metadata["$deleteFromPrimitiveList/finalizers"]`}},
		"an alias":              {"spec:\n  nodeSelector: &a {job: x}\n  containers:\n    - name: helper\n      env: &b []\n    - name: job\n      image: x\nmetadata: {annotations: *a}", []string{"5 spec.containers[0].env", "7 spec.containers[1].image"}},
		"a merged map":          {"spec:\n  containers:\n    - &a {name: job, image: x}\n    - <<: *a\n      tty: true", []string{"3 spec.containers[0].image", "4 spec.containers[1].image", "5 spec.containers[1].tty"}},
	} {
		t.Run(name, func(t *testing.T) {
			patch, problems := ParseOverlay([]byte(test.overlay))
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d %s", p.Line, p.Path))
				if p.Summary == "" || !strings.HasSuffix(p.Detail, ".") {
					t.Errorf("a problem says %q: %q", p.Summary, p.Detail)
				}
			}
			slices.Sort(got)
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("-want +got:\n%s\n%v", d, problems)
			}
			if (patch != nil) && len(problems) > 0 {
				t.Errorf("a patch comes with problems: %s", patch)
			}
			if (CheckOverlay([]byte(test.overlay)) == nil) != (len(problems) == 0) {
				t.Error("CheckOverlay and ParseOverlay differ")
			}
		})
	}
}

// TestOverlayIsWhatKubernetesReads makes sure that an overlay means what kubectl would take it for.
func TestOverlayIsWhatKubernetesReads(t *testing.T) {
	for overlay, want := range map[string]string{
		"spec: {hostNetwork: yes}":                     `{"spec":{"hostNetwork":true}}`,
		"spec: {priority: 0x10}":                       `{"spec":{"priority":16}}`,
		"spec: {nodeSelector: {a: \"1\"}}":             `{"spec":{"nodeSelector":{"a":"1"}}}`,
		"metadata: {annotations: {a: null}}":           `{"metadata":{"annotations":{"a":null}}}`,
		"{\"spec\": {\"hostname\": \"x\"}}":            `{"spec":{"hostname":"x"}}`,
		"spec: {overhead: {cpu: 0.5, memory: 1024Mi}}": `{"spec":{"overhead":{"cpu":"500m","memory":"1Gi"}}}`,
	} {
		patch, problems := ParseOverlay([]byte(overlay))
		if string(patch) != want || len(problems) > 0 {
			t.Errorf("%s: got %s and %v", overlay, patch, problems)
		}
	}
}

// ownPod is a pod as core makes one.
const ownPod = `{
	"apiVersion": "v1", "kind": "Pod",
	"metadata": {
		"name": "job-1", "namespace": "jobs", "labels": {"app.kubernetes.io/name": "runner", "jobID": "1"},
		"annotations": {"runner.podrunner.dev/attempt": "1"}, "ownerReferences": [{"kind": "ConfigMap", "name": "job-1", "uid": "1"}]
	},
	"spec": {
		"restartPolicy": "Never", "activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 5,
		"containers": [
			{"name": "helper", "image": "helper", "command": ["agent"], "env": [{"name": "A", "value": "b"}], "securityContext": {"runAsUser": 1},
				"ports": [{"containerPort": 1}], "lifecycle": {"postStart": {"exec": {"command": ["x"]}}}, "volumeMounts": [{"name": "tools", "mountPath": "/mount"}]},
			{"name": "init", "image": "i", "command": ["entrypoint"], "args": ["x"], "envFrom": [{"secretRef": {"name": "s"}}], "volumeMounts": [{"name": "tools", "mountPath": "/mount"}]},
			{"name": "job", "image": "j", "command": ["entrypoint"], "args": ["x"], "volumeMounts": [{"name": "tools", "mountPath": "/mount"}, {"name": "files", "mountPath": "/opslevel"}]}
		],
		"volumes": [{"name": "tools", "emptyDir": {}}, {"name": "files", "configMap": {"name": "job-1"}}, {"name": "step-job", "emptyDir": {}}]
	}
}`

// FuzzOverlay applies what the guard lets through to a pod, and looks at what core owns.
func FuzzOverlay(f *testing.F) {
	for _, seed := range []string{
		"", "spec: {hostNetwork: true}", "spec: {containers: [{name: job, resources: {limits: {cpu: 1}}}, {name: side, image: x}]}",
		"metadata: {labels: {team: x}}", "spec: {volumes: [{name: a, emptyDir: {}}]}", "spec: {containers: [{$patch: merge}]}",
		`{"spec": {"containers": [{"name": "job", "volumeMounts": [{"mountPath": "/opslevel/", "name": "x"}]}]}}`,
		"spec: {volumes: [{name: tools}]}", "spec:\n  <<: &a {hostPID: true}\n", "$patch: delete", "spec: {containers: []}",
		"spec: {containers: [{name: init, env: [{name: A, $patch: delete}]}]}", "spec: {$retainKeys: []}", "a: &a [*a]", "? [a]\n: b",
		"spec: {containers: [{name: job, tty: null}, {name: init, workingDir: /x}, {name: helper, resources: {limits: {cpu: 1}}}]}",
		"spec: {containers: [{name: job, workingDir: /x}, {name: helper, resources: {limits: {cpu: 1}}}]}",
		"spec: {containers: [{name: job}, {name: job, $patch: delete}]}", "spec: {volumes: [{name: x, $patch: delete}]}",
	} {
		f.Add([]byte(seed))
	}
	for _, name := range []string{"overlay-owned.hcl", "overlay-directives.hcl", "overlay-fields.hcl"} {
		text, err := os.ReadFile("testdata/bad/" + name)
		if err != nil {
			f.Fatal(err)
		}
		_, overlay, _ := strings.Cut(string(text), "YAML\n")
		overlay, _, _ = strings.Cut(overlay, "YAML\n")
		f.Add([]byte(overlay))
	}
	var before corev1.Pod
	if err := json.Unmarshal([]byte(ownPod), &before); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		patch, problems := ParseOverlay(text)
		if patch == nil || len(problems) > 0 {
			return
		}
		again, problems := ParseOverlay(patch)
		if string(again) != string(patch) || len(problems) > 0 {
			t.Fatalf("%s is not what it was: %s, %v", patch, again, problems)
		}
		after, err := ApplyOverlay(&before, patch)
		if err != nil {
			return // said to the user by the executor
		}
		if d := cmp.Diff(core(before), core(*after)); d != "" {
			t.Errorf("%s changes what core owns (-before +after):\n%s", patch, d)
		}
	})
}

func TestApplyOverlay(t *testing.T) {
	var pod corev1.Pod
	if err := json.Unmarshal([]byte(ownPod), &pod); err != nil {
		t.Fatal(err)
	}
	patch, problems := ParseOverlay([]byte(`
metadata:
  labels: {team: platform}
spec:
  hostNetwork: true
  tolerations: [{operator: Exists}]
  containers:
    - {name: proxy, image: proxy}
    - {name: job, env: [{name: A, value: b}], volumeMounts: [{name: cache, mountPath: /cache}]}
    - {name: init, workingDir: /x}
  volumes: [{name: cache, emptyDir: {}}]`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pod.Spec.Containers = slices.Delete(pod.Spec.Containers, 1, 2) // a job with no init step
	want := pod.DeepCopy()
	got, err := ApplyOverlay(&pod, patch)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*want, pod); d != "" {
		t.Errorf("the pod that was given is another one now:\n%s", d)
	}
	want.Labels["team"] = "platform"
	want.Spec.HostNetwork = true
	want.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	job := &want.Spec.Containers[1]
	job.Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	job.VolumeMounts = append(job.VolumeMounts, corev1.VolumeMount{Name: "cache", MountPath: "/cache"})
	want.Spec.Containers = append(want.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy"})
	want.Spec.Volumes = append(want.Spec.Volumes, corev1.Volume{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	sorted := cmp.Transformer("byName", func(in []corev1.Volume) map[string]corev1.Volume {
		out := map[string]corev1.Volume{}
		for _, v := range in {
			out[v.Name] = v
		}
		return out
	})
	mounts := cmp.Transformer("byPath", func(in []corev1.VolumeMount) map[string]corev1.VolumeMount {
		out := map[string]corev1.VolumeMount{}
		for _, v := range in {
			out[v.MountPath] = v
		}
		return out
	})
	if d := cmp.Diff(want, got, sorted, mounts); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if again, err := ApplyOverlay(&pod, nil); err != nil || cmp.Diff(&pod, again) != "" || again == &pod {
		t.Errorf("no overlay: got %v, %v", again, err)
	}
	if _, err := ApplyOverlay(&pod, []byte("[]")); err == nil {
		t.Error("what is no patch is applied")
	}
}

// core returns what core owns of a pod.
func core(p corev1.Pod) map[string]any {
	var order []string
	for _, c := range p.Spec.Containers {
		if slices.Contains(ownedContainers, c.Name) {
			order = append(order, c.Name)
		}
	}
	out := map[string]any{
		"order": order,
		"meta":  []any{p.Name, p.Namespace, p.OwnerReferences, p.Labels["app.kubernetes.io/name"], p.Labels["jobID"], p.Annotations["runner.podrunner.dev/attempt"]},
		"life":  []any{p.Spec.RestartPolicy, *p.Spec.ActiveDeadlineSeconds, *p.Spec.TerminationGracePeriodSeconds},
		"pids":  []any{p.Spec.HostPID, p.Spec.ShareProcessNamespace != nil && *p.Spec.ShareProcessNamespace},
		"first": p.Spec.Containers[0].Name,
	}
	for _, c := range p.Spec.Containers {
		if !slices.Contains(ownedContainers, c.Name) {
			continue
		}
		own := []any{c.Image, c.Command, c.Args, c.Lifecycle, c.Stdin, c.TTY}
		for _, m := range c.VolumeMounts {
			if slices.Contains(ownedVolumes, m.Name) {
				own = append(own, m)
			}
		}
		if c.Name == "helper" {
			own = append(own, c.Env, c.SecurityContext, c.Ports)
		}
		out["container "+c.Name] = append(own, c.EnvFrom)
	}
	for _, v := range p.Spec.Volumes {
		if slices.Contains(ownedVolumes, v.Name) {
			out["volume "+v.Name] = v
		}
	}
	return out
}
