package cluster

import (
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
		killPods(ctx), c.killShims(), c.unmount(), removeCgroups(), c.removeLinks(), removeNetwork(), c.restoreSysctls(),
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
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("end process %d of a pod: %w", pid, err)
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
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end shim %d: %w", pid, err)
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

// removeLinks removes the links to logs that the kubelet makes outside of its folder.
func (c *Cluster) removeLinks() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, c.Dir+"/") {
			if err := os.Remove(l); err != nil {
				return err
			}
		}
	}
	return nil
}
