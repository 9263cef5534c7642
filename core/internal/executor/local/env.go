package local

import (
	"os"
	"slices"

	"github.com/podrunner/runner/core/internal/job"
)

// standardPath is the PATH of a job that sets none. It is that of most images, and does not depend on who runs core.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns the environment of a step: the job's variables of its scope, the last one of a name, in the order in
// which the names first occur; and PATH and HOME when the job does not set them.
func environment(variables []job.Variable, scope job.Scope) []string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	keys, values := []string{"PATH", "HOME"}, map[string]string{"PATH": standardPath, "HOME": home}
	for _, v := range variables {
		if v.Scope != job.ScopeBoth && v.Scope != scope {
			continue
		}
		if !slices.Contains(keys, v.Key) {
			keys = append(keys, v.Key)
		}
		values[v.Key] = v.Value
	}
	env := make([]string, 0, len(keys))
	for _, k := range keys {
		env = append(env, k+"="+values[k])
	}
	return env
}
