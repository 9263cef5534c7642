package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podrunner/runner/core/internal/jobroot"
)

// space is the set of namespaces that the steps of a job get.
type space struct {
	// user: an own user namespace, in which core's user is who he is and may mount. Root has no need of it.
	user bool
	// pid: an own process namespace. When its first process, the helper, is gone then so is every other one, and a job sees
	// no process but its own.
	pid bool
}

// probeTimeout bounds the trial of a space: it takes some milliseconds.
const probeTimeout = 10 * time.Second

// attributes returns how to start a helper in the space. There is no Pdeathsig: the lifeline says that core is gone, and says
// it for sure, while a signal for the death of one of core's threads comes before the lifeline's end and looks like any TERM.
func (s space) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS}
	if s.pid {
		a.Cloneflags |= syscall.CLONE_NEWPID
	}
	if s.user {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return a
}

// spaces returns what to try, the best first.
func spaces() []space {
	withUser := []space{{user: true, pid: true}, {user: true}}
	if os.Geteuid() != 0 {
		return withUser
	}
	return append([]space{{pid: true}, {}}, withUser...)
}

// probe tries the spaces one after the other in dir, which it makes, and returns the first that works.
func probe(ctx context.Context, helper, dir string) (space, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var first error
	for _, s := range spaces() {
		err := s.try(ctx, helper, dir)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return space{}, fmt.Errorf("find out whether jobs can run on this machine: %w", context.Cause(ctx))
		}
		if first == nil {
			first = err
		}
	}
	return space{}, fmt.Errorf("this machine does not let %s give a job its own mounts: %w. %s", who(), first, advice)
}

const advice = "Allow user namespaces (sysctl user.max_user_namespaces above 0, and where they exist" +
	" kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0; in a container its seccomp" +
	" profile decides), or run core as root"

func who() string {
	if os.Geteuid() == 0 {
		return "root in this container"
	}
	return fmt.Sprintf("user %d", os.Geteuid())
}

func (s space) try(ctx context.Context, helper, dir string) error {
	spec := jobroot.Spec{Root: filepath.Join(dir, "root"), Proc: s.pid}
	file := filepath.Join(dir, "root.json")
	if err := os.MkdirAll(spec.Root, 0o700); err != nil {
		return err
	}
	if err := spec.Write(file); err != nil {
		return err
	}
	var said tail
	cmd := exec.CommandContext(ctx, helper, "probe", file)
	cmd.Env = []string{}
	cmd.Stderr = &said
	cmd.SysProcAttr = s.attributes()
	err := cmd.Run()
	var exit *exec.ExitError
	if text := strings.TrimSpace(said.String()); errors.As(err, &exit) && text != "" {
		return errors.New(text)
	}
	return err
}
