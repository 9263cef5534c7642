package debian_test

import (
	"slices"
	"testing"

	"github.com/podrunner/runner/test/cluster/internal/debian"
)

func TestOnlyWhatHasNoFileIsMissing(t *testing.T) {
	got := debian.Missing([]debian.Package{{Name: "there", File: t.TempDir()}, {Name: "absent", File: "/nowhere/absent"}})
	if !slices.Equal(got, []string{"absent"}) {
		t.Errorf("missing: %v", got)
	}
}
