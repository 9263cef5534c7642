// Package chart tests deploy/chart with the helm of the version that tools/helm/go.mod pins. What becomes of it in a cluster,
// test/e2e/kubernetes has.
package chart

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// release and namespace are those of all renderings.
const release, namespace = "builds", "ci"

// root is the repository.
var root, chart string

// sets are the values of the golden files, testdata/NAME.values.yaml.
var sets = []string{"default", "scaling", "apart"}

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if root, err = filepath.Abs("../.."); err != nil {
		panic(err)
	}
	chart = filepath.Join(root, "deploy", "chart")
	if _, err := os.Stat(helmPath()); err != nil {
		fmt.Fprintf(os.Stderr, "\n*** NOT TESTED: the chart. There is no helm: %v. `make chart-test` builds it.\n\n", err)
		if os.Getenv("CI") == "true" {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func helmPath() string { return filepath.Join(root, "build", "tools", "helm") }

// helm runs helm in the tests' folder; it knows no settings of this machine and no cluster.
func helm(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return helmIn(t, ".", args...)
}

func helmIn(t *testing.T, folder string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	home := t.TempDir()
	c := exec.CommandContext(t.Context(), helmPath(), args...)
	c.Dir = folder
	c.Env = []string{"HOME=" + home, "KUBECONFIG=" + filepath.Join(home, "none")}
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	err = c.Run()
	return out.String(), problems.String(), err
}

// render renders the chart.
func render(t *testing.T, args ...string) string {
	t.Helper()
	out, problems, err := helm(t, append([]string{"template", release, chart, "--namespace", namespace}, args...)...)
	if err != nil {
		t.Fatalf("helm template %q: %v\n%s", args, err, problems)
	}
	return out
}

func values(set string) string { return filepath.Join("testdata", set+".values.yaml") }

// object finds an object among those that are rendered, and decodes it strictly; it is false when there is none.
func object(t *testing.T, rendered, kind, name string, into any) bool {
	t.Helper()
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if head.Kind != kind || head.Metadata.Name != name {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Fatalf("%s %s: %v", kind, name, err)
		}
		return true
	}
	return false
}

func deployment(t *testing.T, rendered string) *appsv1.Deployment {
	t.Helper()
	var d appsv1.Deployment
	if !object(t, rendered, "Deployment", "builds-runner", &d) {
		t.Fatalf("there is no Deployment:\n%s", rendered)
	}
	return &d
}

func TestGolden(t *testing.T) {
	for _, set := range sets {
		t.Run(set, func(t *testing.T) {
			got, golden := render(t, "--values", values(set)), filepath.Join("testdata", set+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("what is rendered is not %s (-want +got), which `go test -update` writes anew:\n%s", golden, d)
			}
		})
	}
}

func TestLint(t *testing.T) {
	args := [][]string{{}}
	for _, set := range sets {
		args = append(args, []string{"--values", values(set)})
	}
	for _, more := range args {
		if out, problems, err := helm(t, append([]string{"lint", "--strict", chart}, more...)...); err != nil {
			t.Errorf("helm lint %q: %v\n%s%s", more, err, out, problems)
		}
	}
}

// TestRoles: the account has the rights that the pages tell operators to give, where they are to be, and no others.
func TestRoles(t *testing.T) {
	for _, test := range []struct {
		set, page, part, name, in string
	}{
		{"default", "kubernetes.md", "role", "builds-runner", namespace},
		{"apart", "kubernetes.md", "role", "builds-runner", "jobs"},
		{"scaling", "kubernetes.md", "role", "builds-runner", namespace},
		{"scaling", "operations.md", "scaling-role", "builds-runner-scaling", namespace},
	} {
		rendered := render(t, "--values", values(test.set))
		var want, got rbacv1.Role
		var bound rbacv1.RoleBinding
		documented(t, test.page, test.part, &want)
		if !object(t, rendered, "Role", test.name, &got) || !object(t, rendered, "RoleBinding", test.name, &bound) {
			t.Fatalf("%s: there is no Role %s, or it is not bound:\n%s", test.set, test.name, rendered)
		}
		if d := cmp.Diff(want.Rules, got.Rules); d != "" {
			t.Errorf("%s: the Role %s is not that of docs/%s (-page +chart):\n%s", test.set, test.name, test.page, d)
		}
		if got.Namespace != test.in || bound.Namespace != test.in {
			t.Errorf("%s: the Role %s is in %s, and bound in %s; want %s", test.set, test.name, got.Namespace, bound.Namespace, test.in)
		}
		account := deployment(t, rendered).Spec.Template.Spec.ServiceAccountName
		subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: namespace}}
		if d := cmp.Diff(subjects, bound.Subjects); d != "" || bound.RoleRef.Name != got.Name {
			t.Errorf("%s: the Role %s is bound otherwise (-want +got):\n%s", test.set, bound.RoleRef.Name, d)
		}
	}
	for _, set := range sets {
		want := 1
		if set == "scaling" {
			want = 2
		}
		rendered := render(t, "--values", values(set))
		if got := strings.Count(rendered, "\nkind: Role\n"); got != want || strings.Contains(rendered, "kind: ClusterRole") {
			t.Errorf("%s: there are %d Roles, want %d and none of the cluster", set, got, want)
		}
	}
}

// documented reads the Role that a page has.
func documented(t *testing.T, page, part string, into *rbacv1.Role) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "<!-- begin "+part+" ")
	_, after, _ = strings.Cut(after, "```yaml\n")
	role, _, ends := strings.Cut(after, "```")
	if !ends {
		t.Fatalf("docs/%s has no Role", page)
	}
	if err := yaml.UnmarshalStrict([]byte(role), into); err != nil {
		t.Fatal(err)
	}
}

// TestPodIsRestricted has what is fixed, whatever the values are.
func TestPodIsRestricted(t *testing.T) {
	for _, set := range sets {
		pod := deployment(t, render(t, "--values", values(set))).Spec.Template.Spec
		yes, no := true, false
		wantPod := &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
		want := &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
		if d := cmp.Diff(wantPod, pod.SecurityContext) + cmp.Diff(want, pod.Containers[0].SecurityContext); d != "" {
			t.Errorf("%s (-want +got):\n%s", set, d)
		}
	}
}

// TestReplicas: the number of runners is nobody's but the leader's when they scale; an upgrade would undo what it has done.
func TestReplicas(t *testing.T) {
	if got := deployment(t, render(t, "--values", values("default"), "--set", "replicas=3")).Spec.Replicas; got == nil || *got != 3 {
		t.Errorf("without scaling the replicas are %v", got)
	}
	d := deployment(t, render(t, "--values", values("scaling")))
	if d.Spec.Replicas != nil {
		t.Errorf("with scaling the chart writes %d replicas", *d.Spec.Replicas)
	}
	for _, arg := range []string{"--set=scaling.max_replicas=5", "--set=scaling.min_replicas=2", "--set=scaling.deployment=" + d.Name} {
		if !slices.Contains(d.Spec.Template.Spec.Containers[0].Args, arg) {
			t.Errorf("the runner is not given %s: %q", arg, d.Spec.Template.Spec.Containers[0].Args)
		}
	}
}

// TestNames: a release may have a name with dots, or as long as Helm lets it be, and a Service takes neither as it is.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"runner":                "runner",
		"team.builds":           "team-builds-runner",
		"runner.v1.2":           "runner-v1-2",
		strings.Repeat("r", 53): strings.Repeat("r", 53) + "-runner",
	} {
		out, problems, err := helm(t, "template", name, chart, "--values", values("scaling"))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, problems)
		}
		for _, kind := range []string{"Service", "Deployment", "ServiceAccount", "Role", "Secret"} {
			if !object(t, out, kind, want, &map[string]any{}) {
				t.Errorf("%s: there is no %s %s", name, kind, want)
			}
		}
	}
}

// TestChangesRoll: another configuration, which a runner reads at its start alone, starts the pods anew. Nothing else does, and
// nothing about a secret, not even a checksum to try passwords against, is in them.
func TestChangesRoll(t *testing.T) {
	template := func(args ...string) corev1.PodTemplateSpec {
		return deployment(t, render(t, append([]string{"--values", values("scaling")}, args...)...)).Spec.Template
	}
	before := template()
	if cmp.Equal(before, template("--set", "config.settings=#")) {
		t.Error("with another configuration the pods stay as they are")
	}
	for _, change := range []string{"secret.faktoryUrl=tcp://:other@faktory:7419", "secret.token=EXAMPLE-TOKEN"} {
		if d := cmp.Diff(before, template("--set", change)); d != "" {
			t.Errorf("with --set %s the pods are others:\n%s", change, d)
		}
	}
	if d := cmp.Diff(before, template("--set", "serviceAccount.annotations.a=b")); d != "" {
		t.Errorf("an annotation of the account starts the pods anew:\n%s", d)
	}
}

// TestRefused has values that can't be meant, and what is said of them.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "set secret.name to the name of a Secret"},
		{[]string{"secret.name=s", "config.name=a", "config.settings=b"}, "leave out one of them"},
		{[]string{"secret.name=s", "serviceAccount.create=false"}, "set serviceAccount.name"},
		{[]string{"secret.name=s", "scaling.enabled=true", "scaling.minReplicas=2"}, "replicas is less than scaling.minReplicas"},
		{[]string{"secret.name=s", "replica=3"}, "'replica' not allowed"},
		{[]string{"secret.name=s", "secret.create=true"}, "'create' not allowed"},
		{[]string{"secret.name=s", "image.digest=x"}, "'digest' not allowed"},
		{[]string{"secret.name=s", "scaling.maxReplicas=3"}, "'maxReplicas' not allowed"},
		{[]string{"secret.name=s", "config.create=true"}, "'create' not allowed"},
		{[]string{"secret.name=s", "serviceAccount.token=x"}, "'token' not allowed"},
		{[]string{"secret.name=s", "pod.securityContext.runAsUser=0"}, "'securityContext' not allowed"},
		{[]string{"secret.name=s", "resources.limit.memory=1Gi"}, "'limit' not allowed"},
		{[]string{"secret.name=s", "drainTimeoutSeconds=10m"}, "/drainTimeoutSeconds"},
		{[]string{"secret.name=s", "replicas=-1"}, "/replicas"},
		{[]string{"secret.name=s", "env.RUNNER_CONFIG=x"}, "propertyName 'RUNNER_CONFIG'"},
		{[]string{"secret.name=s", "env.NOT-A-NAME=x"}, "propertyName 'NOT-A-NAME'"},
	} {
		args := []string{"template", release, chart}
		for _, set := range test.args {
			args = append(args, "--set", set)
		}
		if _, problems, err := helm(t, args...); err == nil || !strings.Contains(problems, test.says) {
			t.Errorf("%q: %v, and it does not say %q:\n%s", test.args, err, test.says, problems)
		}
	}
}

// TestDocumented: helm takes the commands and values of docs/deploying.md as they stand there, and what they make has the
// names that its other commands have.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "deploying.md"))
	if err != nil {
		t.Fatal(err)
	}
	own, more := filepath.Join(t.TempDir(), "my-values.yaml"), filepath.Join(t.TempDir(), "more.yaml")
	blocks := fenced(string(page), "yaml")
	if len(blocks) != 3 || !strings.HasPrefix(blocks[0], "# my-values.yaml\n") {
		t.Fatalf("the page's values are %q", blocks)
	}
	write(t, own, blocks[0])
	commands := 0
	for line := range strings.Lines(strings.Join(fenced(string(page), "sh"), "")) {
		options, ok := strings.CutPrefix(line, "helm upgrade --install ")
		if !ok {
			continue
		}
		commands++
		for _, values := range blocks {
			write(t, more, values)
			// What it would install is rendered.
			args := strings.Fields("template " + strings.Replace(options, "my-values.yaml", own, 1) + " --values " + more)
			out, problems, err := helmIn(t, root, args...)
			if err != nil {
				t.Errorf("%s with\n%s: %v\n%s", line, values, err, problems)
				continue
			}
			var d appsv1.Deployment
			if !object(t, out, "Deployment", "runner", &d) || d.Spec.Selector.MatchLabels["app.kubernetes.io/instance"] != "runner" {
				t.Errorf("%s: there is no Deployment runner, or its label is another one:\n%s", line, out)
			}
			if image := d.Spec.Template.Spec.Containers[0].Image; image != "registry.example/runner:v1" {
				t.Errorf("%s: the image is %s", line, image)
			}
		}
	}
	if commands != 2 {
		t.Errorf("the page has %d commands that install", commands)
	}
	if out, problems, err := helmIn(t, root, "show", "values", "deploy/chart"); err != nil || !strings.HasPrefix(out, "# The values of the chart.") {
		t.Errorf("helm show values: %v\n%s%s", err, out, problems)
	}
}

// fenced are the blocks of a language in a page.
func fenced(page, language string) (blocks []string) {
	for _, rest := range strings.Split(page, "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPartOfAnother: Helm adds a value to those of a chart that is part of another one.
func TestPartOfAnother(t *testing.T) {
	render(t, "--values", values("default"), "--set", "global.team=platform")
}

// others are another value for each of the chart, as an argument of --set.
var others = map[string]string{
	"image.repository": "other", "image.tag": "other", "image.pullPolicy": "Never", "image.pullSecrets": "{other}",
	"replicas":        "9",
	"scaling.enabled": "true", "scaling.minReplicas": "9", "scaling.concurrencyFactor": "9",
	"secret.name": "other", "secret.token": "other", "secret.faktoryUrl": "other",
	"config.settings": "other", "config.name": "other",
	"env": "{}", "jobNamespace": "other", "drainTimeoutSeconds": "9", "metricsPort": "9",
	"serviceAccount.create": "false", "serviceAccount.name": "other", "serviceAccount.annotations": "other",
	"pod.annotations": "other", "pod.labels": "other", "pod.nodeSelector": "other",
	"pod.tolerations": `[{"key":"other"}]`, "pod.volumes": `[{"name":"other"}]`, "pod.volumeMounts": `[{"name":"other"}]`,
	"resources.requests.cpu": "9", "resources.requests.memory": "9", "resources.limits.memory": "9",
}

// TestEveryValueCounts: each value of values.yaml changes what is rendered, and stands in the schema, which has no other.
func TestEveryValueCounts(t *testing.T) {
	var defaults, schema map[string]any
	for file, into := range map[string]*map[string]any{"values.yaml": &defaults, "values.schema.json": &schema} {
		data, err := os.ReadFile(filepath.Join(chart, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(data, into); err != nil {
			t.Fatal(err)
		}
	}
	paths := leaves("", defaults)
	if d := cmp.Diff(slices.Sorted(maps.Keys(others)), slices.Sorted(maps.Keys(paths))); d != "" {
		t.Errorf("the values are others than this test has (-test +values.yaml):\n%s", d)
	}
	for path, value := range paths {
		set := []string{"--set", path + "=" + others[path]}
		switch value.(type) {
		case map[string]any:
			set[1] = path + ".other=x"
		case []any:
			if !strings.HasPrefix(others[path], "{") {
				set = []string{"--set-json", path + "=" + others[path]}
			}
		case string:
			set[0] = "--set-string"
		}
		base := []string{"--set", "secret.name=s,serviceAccount.name=a"}
		if strings.HasPrefix(path, "scaling.") && path != "scaling.enabled" {
			base = append(base, "--set", "scaling.enabled=true,replicas=9")
		}
		if render(t, base...) == render(t, append(base, set...)...) {
			t.Errorf("%q makes no difference", set)
		}
		if !known(schema, strings.Split(path, ".")) {
			t.Errorf("the schema does not know %s", path)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name := range properties {
		if _, ok := defaults[name]; !ok && name != "global" {
			t.Errorf("the schema knows %s, and values.yaml does not", name)
		}
	}
}

// leaves are the values at the ends of a tree, by their paths.
func leaves(path string, tree map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range tree {
		at := strings.TrimPrefix(path+"."+name, ".")
		if branch, ok := value.(map[string]any); ok && len(branch) > 0 {
			maps.Copy(out, leaves(at, branch))
		} else {
			out[at] = value
		}
	}
	return out
}

// known says whether a schema allows a path.
func known(schema map[string]any, path []string) bool {
	for _, name := range path {
		properties, ok := schema["properties"].(map[string]any)
		if !ok {
			return true // An object with whatever is in it.
		}
		if schema, ok = properties[name].(map[string]any); !ok {
			return false
		}
	}
	return true
}
