//go:build !linux

package jobroot

import "errors"

// Enter is for Linux.
func (s Spec) Enter() error {
	return errors.New("a job's root needs the mount namespaces of Linux")
}
