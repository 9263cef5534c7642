package scale

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/podrunner/runner/core/internal/doctest"
)

// rights are those of the Role that operators are told to give core, "verb resource".
func rights(t *testing.T) map[string]bool {
	t.Helper()
	text := doctest.Part(t, "../../../docs/operations.md", "scaling-role")
	text = strings.TrimSuffix(strings.TrimPrefix(text, "```yaml\n"), "```\n")
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(text), &role); err != nil {
		t.Fatal(err)
	}
	rights := map[string]bool{}
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			if group != "" {
				group += "/"
			}
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					rights[verb+" "+group+resource] = true
				}
			}
		}
	}
	return rights
}

// TestRoleIsDocumented compares the Role with what a runner asks for that is elected, scales, and shows its load.
func TestRoleIsDocumented(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	r := c.run(c.newRunner("a", Source{Pipeline: "default", Name: "x", Concurrency: 1, Recommender: &opinion{n: 2}}))
	c.until("it has scaled, and shown its load", func() bool { return len(c.writes) > 0 && len(c.costs["a"]) > 0 })
	c.end(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := cmp.Diff(slices.Sorted(maps.Keys(c.rights)), slices.Sorted(maps.Keys(c.used))); d != "" {
		t.Errorf("the Role in docs/operations.md is not what the code needs (-page +code):\n%s", d)
	}
}
