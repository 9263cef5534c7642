package jobroot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Enter makes the tree and moves the whole process into it. The process must be alone in a mount namespace of its own (and
// in a process namespace when Proc is set), with the right to mount there; afterwards it gives up that right for what it
// starts. When Enter fails the process is of no use any more.
func (s Spec) Enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", s.Root, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount the job's root: %w", err)
	}
	steps := []func() error{
		func() error { return s.mirror("/") },
		s.mountProc,
		s.hide,
		s.mountAll,
		s.protect,
		s.pivot,
		dropCapabilities,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// in returns where a path of the tree is before the tree is entered.
func (s Spec) in(path string) string { return filepath.Join(s.Root, path) }

// mirror makes dir in the tree: each entry by a mount of the machine's, those on the way to a target as directories in
// memory, so that the targets can be made there.
func (s Spec) mirror(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read %s to show it to the job: %w", dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch s.place(path) {
		case replaced:
			continue
		case onTheWay:
			if err := os.Mkdir(s.in(path), 0o755); err != nil {
				return fmt.Errorf("make the job's root: %w", err)
			}
			err = s.mirror(path)
		case outside:
			err = s.show(path, e.Type())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type place int

const (
	outside place = iota
	onTheWay
	replaced
)

// place says what the mounts have to do with a path of the machine.
func (s Spec) place(path string) place {
	found := outside
	for _, m := range s.Mounts {
		if m.Target == path {
			return replaced
		}
		if strings.HasPrefix(m.Target, path+"/") {
			found = onTheWay
		}
	}
	if path == "/proc" && s.Proc {
		return replaced
	}
	return found
}

// show puts a file or directory of the machine into the tree, at its own path.
func (s Spec) show(path string, mode fs.FileMode) error {
	if mode&fs.ModeSymlink != 0 {
		to, err := os.Readlink(path)
		if err == nil {
			err = os.Symlink(to, s.in(path))
		}
		if err != nil {
			return fmt.Errorf("show %s to the job: %w", path, err)
		}
		return nil
	}
	// What can't be shown, such as somebody else's FUSE mount, or is removed meanwhile, is missing in the tree. What a job
	// does need is missed there, by a clear error.
	_ = bind(path, s.in(path), mode.IsDir())
	return nil
}

// bind mounts source at target, and makes target first.
func bind(source, target string, dir bool) error {
	var err error
	if dir {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = touch(target)
	}
	if err == nil {
		err = unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("show %s to the job: %w", source, err)
	}
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s Spec) mountProc() error {
	if !s.Proc {
		return nil
	}
	err := os.Mkdir(s.in("/proc"), 0o555)
	if err == nil {
		err = unix.Mount("proc", s.in("/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err != nil {
		// It is refused where parts of the present one are hidden, as in a container.
		return fmt.Errorf("mount a /proc for the job's processes: %w", err)
	}
	return nil
}

func (s Spec) hide() error {
	for _, path := range s.Hide {
		if info, err := os.Stat(s.in(path)); err != nil || !info.IsDir() {
			continue // hidden already, by a mount above it
		}
		if err := unix.Mount("tmpfs", s.in(path), "tmpfs", 0, "mode=0700"); err != nil {
			return fmt.Errorf("hide %s from the job: %w", path, err)
		}
	}
	return nil
}

func (s Spec) mountAll() error {
	for _, m := range s.Mounts {
		if err := s.mount(m); err != nil {
			return err
		}
	}
	return nil
}

func (s Spec) mount(m Mount) error {
	target := s.in(m.Target)
	if m.Source != "" && !m.Copy {
		info, err := os.Stat(m.Source)
		if err != nil {
			return fmt.Errorf("show %s to the job: %w", m.Source, err)
		}
		return bind(m.Source, target, info.IsDir())
	}
	err := os.MkdirAll(target, 0o755)
	if err == nil {
		err = unix.Mount("tmpfs", target, "tmpfs", 0, "mode=0755")
	}
	if err == nil && m.Copy {
		err = copyFiles(m.Source, target)
	}
	if err != nil {
		return fmt.Errorf("make %s for the job: %w", m.Target, err)
	}
	return nil
}

// copyFiles copies the files of one directory to another; they and it get the mode 0777.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return os.Chmod(to, 0o777)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o777), out.Close())
}

// protect makes read-only what is to be, after all has been put there.
func (s Spec) protect() error {
	for _, m := range s.Mounts {
		if !m.ReadOnly {
			continue
		}
		flags, err := mountFlags(s.in(m.Target))
		if err == nil {
			err = unix.Mount("", s.in(m.Target), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|flags, "")
		}
		if err != nil {
			return fmt.Errorf("make %s read-only: %w", m.Target, err)
		}
	}
	return nil
}

// mountFlags returns the flags of the mount at path that a user namespace does not let go of: a remount has to repeat them.
func mountFlags(path string) (uintptr, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	have, flags := uint64(st.Flags), uintptr(0)
	for from, to := range map[uint64]uintptr{
		unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV, unix.ST_NOEXEC: unix.MS_NOEXEC,
		unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME, unix.ST_RELATIME: unix.MS_RELATIME,
	} {
		if have&from != 0 {
			flags |= to
		}
	}
	return flags, nil
}

// pivot makes the tree the process's root and lets go of the machine's.
func (s Spec) pivot() error {
	err := unix.Chdir(s.Root)
	if err == nil {
		err = unix.PivotRoot(".", ".")
	}
	if err == nil {
		err = unix.Unmount(".", unix.MNT_DETACH) // the old root lies on top of the new one
	}
	if err == nil {
		err = unix.Chdir("/")
	}
	if err != nil {
		return fmt.Errorf("enter the job's root: %w", err)
	}
	return nil
}

// dropCapabilities clears the ambient set, by which a process that is not root has kept its right to mount: what is started
// from now on has no more rights than its user. It takes all threads, since any of them may start it.
func dropCapabilities() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("drop capabilities: %w", errno)
	}
	return nil
}
