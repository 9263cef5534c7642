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

const (
	// user is nonroot of rootfs/etc/passwd, as a number: a kubelet can't tell that a name is not root's.
	user = "65532:65532"
	// workingDir is what engines take when an image has none. Core finds its runner.hcl there.
	workingDir = "/"
)

// kind is what sets one of our images apart from the others. Each has a Dockerfile in deploy/ that builds the same; a test
// keeps the two in step.
type kind struct {
	// program is the path of the program that the image runs; args are what it is given when nobody says otherwise.
	program string
	args    []string
	// temp says that the program writes to /tmp.
	temp bool
}

// kinds are the images that there are, by their titles.
var kinds = map[string]kind{
	// Core's pods look for the helper at this path, and the helper in /tools for programs that jobs call.
	"runner-helper": {program: "runner-helper"},
	// Core looks for its plugins in /plugins, as that is beside it. It makes sockets in /tmp.
	"runner": {program: "core", args: []string{"run"}, temp: true},
}

// platforms are those that nodes have. An engine that takes an archive for a single platform is given the first.
var platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// epoch is the time of everything in the image: the moment of a build would make each one differ.
var epoch = time.Unix(0, 0).UTC()

// content is what the image of one platform has, beside what all have.
type content struct {
	platform v1.Platform
	files    []file
}

// file is a file of an image, which belongs to root.
type file struct {
	path string // without the first slash
	mode int64
	data []byte
}

func labels(title, version string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    title,
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.source":   "https://github.com/podrunner/runner",
		"org.opencontainers.image.licenses": "MIT",
	}
}

// newIndex makes the image of all platforms, and gives the image of each beside it, in the order of the contents.
func newIndex(title, version string, contents []content) (v1.ImageIndex, []v1.Image, error) {
	var images []v1.Image
	var addenda []mutate.IndexAddendum
	for _, c := range contents {
		image, err := newImage(title, version, c)
		if err != nil {
			return nil, nil, fmt.Errorf("image for %s: %w", c.platform, err)
		}
		images = append(images, image)
		addenda = append(addenda, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &c.platform}})
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), addenda...), images, nil
}

func newImage(title, version string, c content) (v1.Image, error) {
	k := kinds[title]
	data, err := newLayer(k, c.files)
	if err != nil {
		return nil, err
	}
	// It is asked for what it is compressed more than once, which for core takes many seconds.
	layer, err := tarball.LayerFromOpener(opener(data), tarball.WithCompressedCaching,
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
	if err != nil {
		return nil, err
	}
	// The configuration first, then the layer: what is appended completes it.
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		&v1.ConfigFile{
			OS:           c.platform.OS,
			Architecture: c.platform.Architecture,
			Created:      v1.Time{Time: epoch},
			RootFS:       v1.RootFS{Type: "layers"},
			Config: v1.Config{
				User:       user,
				WorkingDir: workingDir,
				Entrypoint: []string{"/" + k.program},
				Cmd:        k.args,
				Labels:     labels(title, version),
			},
		})
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "tools/image"},
	})
}
