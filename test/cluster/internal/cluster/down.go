package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/test/cluster/internal/kubeconfig"
	"github.com/podrunner/runner/test/cluster/internal/process"
)

// Down ends everything that the cluster runs and removes everything that it has made. It goes on past what fails, and
// can be run again.
func (c *Cluster) Down(ctx context.Context) error {
	if _, err := os.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) {
		c.say("no cluster in %s", c.Dir)
		return nil
	}
	var failed error
	// The last one first; the kubelet would start anew what is ended here.
	for _, k := range slices.Backward(components) {
		failed = errors.Join(failed, c.stop(ctx, k))
	}
	failed = errors.Join(failed,
		killPods(ctx), c.killShims(), c.unmount(), removeCgroups(), c.removeStrays(), removeNetwork(), c.restoreSysctls(),
		kubeconfig.Remove(kubeconfig.Default(), Name),
	)
	if failed != nil {
		return fmt.Errorf("%w\n%s is left; run down again", failed, c.Dir)
	}
	return os.RemoveAll(c.Dir)
}

// podCgroups are the folders in which the kernel keeps the processes of all pods, one in each hierarchy.
func podCgroups() []string {
	folders, _ := filepath.Glob("/sys/fs/cgroup/*/kubepods") // the pattern is a good one
	if _, err := os.Stat("/sys/fs/cgroup/kubepods"); err == nil {
		folders = append(folders, "/sys/fs/cgroup/kubepods")
	}
	return folders
}

// killPods ends all processes of all pods, until there are none: one that forks is faster than a single round.
func killPods(ctx context.Context) error {
	for {
		pids, err := podProcesses()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := process.Kill(pid); err != nil {
				return fmt.Errorf("end a pod: %w", err)
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("end the processes of pods: %w", ctx.Err())
		}
	}
}

func podProcesses() ([]int, error) {
	var pids []int
	for _, folder := range podCgroups() {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && d.Name() != "cgroup.procs" {
				return nil
			}
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // it went away meanwhile, and its processes with it
			}
			for _, f := range strings.Fields(string(b)) {
				pid, err := strconv.Atoi(f)
				if err != nil {
					return err
				}
				pids = append(pids, pid)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return pids, nil
}

// killShims ends the processes that hold containers for this cluster's containerd.
func (c *Cluster) killShims() error {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	sockets, err := filepath.Glob(c.path("run/containerd/io.containerd.runtime.v2.task/*/*/address"))
	if err != nil {
		return err
	}
	for _, path := range commands {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		args := strings.Split(string(b), "\x00")
		if !strings.HasSuffix(args[0], "containerd-shim-runc-v2") || !slices.Contains(args, c.socket()) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return err
		}
		if err := process.Kill(pid); err != nil {
			return fmt.Errorf("end shim: %w", err)
		}
	}
	// One that is ended by force leaves its socket, which is not in the cluster's folder.
	for _, path := range sockets {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // its container was just removed
		}
		if err := os.Remove(strings.TrimPrefix(string(b), "unix://")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unmount takes away everything that is mounted in the folder, the last one first.
func (c *Cluster) unmount() error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(string(b), "\n")) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasPrefix(f[4], c.Dir+"/") {
			continue
		}
		if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", f[4], err)
		}
	}
	return nil
}

// removeCgroups removes the pods' cgroups, the innermost first.
func removeCgroups() error {
	for _, folder := range podCgroups() {
		var folders []string
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, f := range slices.Backward(folders) {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeStrays removes what is made outside of the cluster's folder, because the paths are fixed in the kubelet and in
// containerd. A folder that somebody else keeps something in stays.
func (c *Cluster) removeStrays() error {
	var failed error
	for _, pattern := range []string{"/var/log/containers/*.log", "/var/lib/kubelet/device-plugins/kubelet*", "/var/lib/cni/results/*"} {
		files, err := filepath.Glob(pattern)
		failed = errors.Join(failed, err)
		for _, f := range files {
			if c.ours(f) {
				failed = errors.Join(failed, os.Remove(f))
			}
		}
	}
	for _, folder := range []string{
		"/var/log/containers", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/lib/cni/results", "/var/lib/cni",
		"/run/containerd/s", "/run/containerd",
	} {
		err := os.Remove(folder)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
			continue
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// ours tells whether a file speaks of the cluster's folder or network. Those of the kubelet's plugins do not; there can
// be only one kubelet.
func (c *Cluster) ours(path string) bool {
	if to, err := os.Readlink(path); err == nil {
		return strings.HasPrefix(to, c.Dir+"/")
	}
	if strings.HasPrefix(path, "/var/lib/kubelet/") {
		return true
	}
	b, err := os.ReadFile(path)
	return err == nil && (bytes.Contains(b, []byte(c.Dir+"/")) || bytes.Contains(b, []byte(Name)))
}
