package jobfile

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"type: t\nargs: [1]\n", "# only a comment\n", "---\n", "a: &a [*a]\n", "type: &x t\nqueue: *x\nargs: [{<<: {a: 1}}]\ncustom: {a: 2026-01-01}\n",
		"{type: t, args: [.nan, {1: 2}], retries: -1, at: 2026-01-01T00:00:00Z, expires_in: 5, unique_for: 0}", "? [a]\n: b\n", "type: t\nargs: null\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		job, err := Parse("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("the error does not begin with the file: %v", err)
			}
			return
		}
		if _, err := json.Marshal(job.Job); err != nil {
			t.Errorf("it can't be pushed: %v", err)
		}
	})
}
