package cluster

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// sysctls are the kernel's settings that the kubelet and the bridge change.
var sysctls = []string{
	"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops",
	"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom",
}

// saveSysctls writes down what they were, before the cluster has run for the first time.
func (c *Cluster) saveSysctls() error {
	path := c.path("sysctls.json")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	values := map[string]string{}
	for _, name := range sysctls {
		if b, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			values[name] = strings.TrimSpace(string(b))
		}
	}
	b, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func (c *Cluster) restoreSysctls() error {
	b, err := os.ReadFile(c.path("sysctls.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	values := map[string]string{}
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	var failed error
	for name, value := range values {
		failed = errors.Join(failed, os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644))
	}
	return failed
}
