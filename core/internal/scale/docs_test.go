package scale

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
