package main

import (
	"compress/gzip"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// deploy/runner-helper.Dockerfile builds the same image; a test keeps the two in step.
const (
	// helperPath is where core's pods look for the helper.
	helperPath = "/runner-helper"
	// toolsDir is where the helper looks for programs that jobs call.
	toolsDir = "/tools"
	// user is nonroot of rootfs/etc/passwd, as a number: a kubelet can't tell that a name is not root's.
	user = "65532:65532"
	// workingDir is what engines take when an image has none.
	workingDir = "/"
)

// platforms are those that nodes have. An engine that takes an archive for a single platform is given the first.
var platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// epoch is the time of everything in the image: the moment of a build would make each one differ.
var epoch = time.Unix(0, 0).UTC()

// helper is the program of one platform, with those that jobs call.
type helper struct {
	platform v1.Platform
	binary   []byte
	tools    []tool
}

// tool is a program that jobs call.
type tool struct {
	name   string
	binary []byte
}

func labels(version string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    "runner-helper",
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.source":   "https://github.com/podrunner/runner",
		"org.opencontainers.image.licenses": "MIT",
	}
}

// newIndex makes the image of all platforms, and gives the image of each beside it, in the order of the helpers.
func newIndex(version string, helpers []helper) (v1.ImageIndex, []v1.Image, error) {
	var images []v1.Image
	var addenda []mutate.IndexAddendum
	for _, h := range helpers {
		image, err := newImage(version, h)
		if err != nil {
			return nil, nil, fmt.Errorf("image for %s: %w", h.platform, err)
		}
		images = append(images, image)
		addenda = append(addenda, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &h.platform}})
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), addenda...), images, nil
}

func newImage(version string, h helper) (v1.Image, error) {
	content, err := newLayer(h)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(opener(content),
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
	if err != nil {
		return nil, err
	}
	// The configuration first, then the layer: what is appended completes it.
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		&v1.ConfigFile{
			OS:           h.platform.OS,
			Architecture: h.platform.Architecture,
			Created:      v1.Time{Time: epoch},
			RootFS:       v1.RootFS{Type: "layers"},
			Config: v1.Config{
				User:       user,
				WorkingDir: workingDir,
				Entrypoint: []string{helperPath},
				Labels:     labels(version),
			},
		})
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "helperimage"},
	})
}
