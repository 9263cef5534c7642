package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/podrunner/runner/test/cluster/internal/image"
)

// exampleImage is what examples/job.yaml asks for; the stand-in that is loaded under its name needs no registry.
const exampleImage = "docker.io/alpine/curl:latest"

// describeBaseImages describes the images that every cluster has. They are made of this machine's static busybox.
func describeBaseImages(ctx context.Context) ([]image.Image, error) {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w; Debian has it in the package busybox-static", err)
	}
	applets, err := exec.CommandContext(ctx, "/bin/busybox", "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of busybox: %w", err)
	}
	return image.Base(busybox, strings.Fields(string(applets)), exampleImage), nil
}

// WriteImages writes the images that every cluster has into an archive, for a cluster of another kind.
func (c *Cluster) WriteImages(ctx context.Context, archive string) error {
	images, err := describeBaseImages(ctx)
	if err != nil {
		return err
	}
	return image.WriteArchive(archive, images)
}

// baseImages builds the images that every cluster has, and loads them unless they are there.
func (c *Cluster) baseImages(ctx context.Context) error {
	images, err := describeBaseImages(ctx)
	if err != nil {
		return err
	}
	digest, err := image.Digest(images)
	if err != nil {
		return err
	}
	mark := c.path("images", "base.loaded")
	if loaded, err := os.ReadFile(mark); err == nil && string(loaded) == digest {
		return nil
	}
	archive := c.path("images", "base.tar")
	if err := image.WriteArchive(archive, images); err != nil {
		return err
	}
	if err := c.Load(ctx, []string{archive}); err != nil {
		return err
	}
	c.say("image %s is a stand-in made of busybox, so that examples/job.yaml runs without a registry", exampleImage)
	return os.WriteFile(mark, []byte(digest), 0o644)
}

// Load imports the images of OCI or Docker archives, for the kubelet to find.
func (c *Cluster) Load(ctx context.Context, archives []string) error {
	for _, a := range archives {
		out, err := exec.CommandContext(ctx, "/usr/bin/ctr", "--address", c.socket(), "--namespace", "k8s.io", "images", "import", a).CombinedOutput()
		if err != nil {
			return fmt.Errorf("load %s: %w\n%s", a, err, out)
		}
		for line := range strings.Lines(string(out)) {
			// "unpacking NAME (DIGEST)...done"
			if f := strings.Fields(line); len(f) > 1 && f[0] == "unpacking" {
				c.say("image %s", f[1])
			}
		}
	}
	return nil
}
