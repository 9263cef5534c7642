package entrypoint

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Input is what a helper tells the entrypoint of a step, in one line of JSON, when it is the step's turn.
type Input struct {
	Commands []string `json:"commands,omitempty"`
	// Env are variables, "KEY=VALUE", that take the place of those of the container.
	Env []string `json:"env,omitempty"`
	// Skip says why there is nothing to do; empty when there is.
	Skip string `json:"skip,omitempty"`
}

// Line returns the line.
func (i Input) Line() ([]byte, error) {
	line, err := json.Marshal(i)
	if err != nil {
		return nil, fmt.Errorf("encode what a step runs: %w", err)
	}
	return append(line, '\n'), nil
}

// environment returns base overlaid with more. Of each name there is one, the last.
func environment(base, more []string) []string {
	index := map[string]int{}
	env := make([]string, 0, len(base)+len(more))
	for _, list := range [][]string{base, more} {
		for _, v := range list {
			name, _, _ := strings.Cut(v, "=")
			if i, ok := index[name]; ok {
				env[i] = v
				continue
			}
			index[name] = len(env)
			env = append(env, v)
		}
	}
	return env
}
