// Package debian installs what is missing of a list of Debian packages.
package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Package is a Debian package and one file of it, by which it is known to be there.
type Package struct {
	Name, File string
}

// Install installs the packages whose file is missing, and says so on out. None of their services is started: the
// cluster runs its own, and one that holds the default sockets and ports would only be in the way.
func Install(ctx context.Context, out io.Writer, packages []Package) error {
	missing := Missing(packages)
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintln(out, "install Debian packages:", strings.Join(missing, " "))
	if !known(ctx, missing) {
		if err := apt(ctx, "update"); err != nil {
			return err
		}
	}
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	defer restore()
	return apt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
}

// Missing returns the names of the packages whose file is not there.
func Missing(packages []Package) []string {
	var names []string
	for _, p := range packages {
		if _, err := os.Stat(p.File); err != nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// known tells whether apt has heard of the packages; before its first update it has not.
func known(ctx context.Context, names []string) bool {
	return exec.CommandContext(ctx, "apt-cache", append([]string{"show", "--quiet"}, names...)...).Run() == nil
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// policy is what a package's scripts ask before they start a service; 101 means that they must not.
const policy = "/usr/sbin/policy-rc.d"

// forbidServices puts a policy in place if the machine has none, and returns what takes it away again.
func forbidServices() (restore func(), err error) {
	if _, err := os.Stat(policy); err == nil {
		return func() {}, nil
	}
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return nil, err
	}
	return func() { os.Remove(policy) }, nil //nolint:errcheck // it is there, and ours
}
