package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestChartFitsEveryFile: what the chart gives core on its command line is valid with each file that people have, whether
// that has the blocks for it or not.
func TestChartFitsEveryFile(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "core", "internal", "migrate", "testdata", "*", "runner.hcl"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("found %d files, %v", len(paths), err)
	}
	for _, scaling := range []string{"false", "true"} {
		args := chartArgs(t, "--set", "secret.name=opslevel,scaling.enabled="+scaling)
		for _, path := range append(paths, filepath.Join(root, "runner.hcl"), filepath.Join(root, "examples", "faktory.hcl")) {
			out, said, code := with(t, variables, append([]string{"validate", "-c", path, "--log-level", "warn"}, args...)...)
			if code != 0 || !strings.Contains(out, "is valid") {
				t.Errorf("%s with scaling %s: exit code %d\n%s%s", path, scaling, code, out, said)
			}
		}
	}
}

// chartArgs are the settings that the chart gives core in its pod.
func chartArgs(t *testing.T, values ...string) []string {
	t.Helper()
	helm := exec.CommandContext(t.Context(), filepath.Join(root, "build", "tools", "helm"),
		append([]string{"template", "runner", filepath.Join(root, "deploy", "chart"), "--show-only", "templates/deployment.yaml"}, values...)...)
	helm.Stderr = os.Stderr
	rendered, err := helm.Output()
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := yaml.Unmarshal(rendered, &d); err != nil {
		t.Fatal(err)
	}
	args := d.Spec.Template.Spec.Containers[0].Args
	if len(args) < 2 || args[0] != "run" {
		t.Fatalf("the chart starts core with %q", args)
	}
	for i, arg := range args {
		// As the kubelet does.
		args[i] = strings.NewReplacer("$(RUNNER_POD_NAME)", "runner-1", "$(RUNNER_POD_NAMESPACE)", "ci").Replace(arg)
	}
	return args[1:]
}
