package image

import (
	"os"
	"path"
)

// Base returns the images of a test cluster, made from a static busybox: its bytes, and the names of its applets.
// example is the image that the example job asks for.
func Base(busybox []byte, applets []string, example string) []Image {
	return []Image{
		{
			Names:   []string{"localhost/busybox:dev"},
			Files:   userland(busybox, applets),
			Command: []string{"sh"},
		},
		{
			Names: []string{example},
			// The example's script asks for bash, and needs nothing of it that sh does not have.
			Files:   append(userland(busybox, applets), File{Path: "/bin/bash", Mode: 0o755, Data: []byte("#!/bin/sh\nexec /bin/sh \"$@\"\n")}),
			Command: []string{"sh"},
		},
		{
			Names:   []string{"localhost/noshell:dev"},
			Files:   []File{dir("/bin", 0o755), {Path: "/bin/sleep", Mode: 0o755, Data: busybox}},
			Command: []string{"/bin/sleep", "2147483647"},
		},
		{
			Names: []string{Pause},
			Files: append(
				[]File{dir("/bin", 0o755), {Path: "/bin/busybox", Mode: 0o755, Data: busybox}},
				applet("/bin/sh"), applet("/bin/sleep"),
			),
			// A shell, because the first process of a pod whose containers share their processes has to reap them.
			Command: []string{"/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait $!; done"},
		},
	}
}

// Pause is the image that holds a pod's namespaces.
const Pause = "localhost/pause:dev"

// userland is a small system: every applet, a folder for temporary files, and the two users that everybody knows.
func userland(busybox []byte, applets []string) []File {
	files := []File{
		dir("/bin", 0o755), dir("/dev", 0o755), dir("/etc", 0o755), dir("/proc", 0o755), dir("/root", 0o700),
		dir("/sys", 0o755), dir("/tmp", 0o777|os.ModeSticky), dir("/usr", 0o755), dir("/usr/bin", 0o755),
		{Path: "/bin/busybox", Mode: 0o755, Data: busybox},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnogroup:x:65534:\n")},
	}
	for _, a := range applets {
		if a != "busybox" {
			files = append(files, applet(path.Join("/bin", a)))
		}
	}
	// Where the first line of most scripts looks for it.
	return append(files, applet("/usr/bin/env"))
}

func dir(p string, mode os.FileMode) File { return File{Path: p, Mode: mode | os.ModeDir} }
func applet(p string) File                { return File{Path: p, Link: "/bin/busybox"} }
