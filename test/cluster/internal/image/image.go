// Package image builds container images from single files, for a machine that reaches no registry.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is an image to build: the files of its only layer, and how it starts.
type Image struct {
	Names   []string // full references
	Files   []File
	Command []string
}

// File is a regular file, a symbolic link when Link is set, or a folder when Mode says so.
type File struct {
	Path string // absolute
	Mode os.FileMode
	Data []byte
	Link string
}

// Build turns the description into an image. The same description always gives the same bytes: nothing of the moment
// or the machine gets in.
func Build(i Image) (v1.Image, error) {
	layer, err := layer(i.Files)
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		return nil, err
	}
	// The platform first, then the layer: what is appended keeps the configuration and completes it.
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Cmd: i.Command,
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, l)
}

func layer(files []File) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Path[1:], Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data)), Typeflag: tar.TypeReg}
		if f.Mode&os.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		switch {
		case f.Link != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Link, 0o777
		case f.Mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("add %s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, fmt.Errorf("add %s: %w", f.Path, err)
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// Digest tells these images, with their names, from all others.
func Digest(images []Image) (string, error) {
	sum := sha256.New()
	for _, i := range images {
		img, err := Build(i)
		if err != nil {
			return "", fmt.Errorf("build image %s: %w", i.Names[0], err)
		}
		d, err := img.Digest()
		if err != nil {
			return "", fmt.Errorf("digest of image %s: %w", i.Names[0], err)
		}
		fmt.Fprintln(sum, d, i.Names)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// WriteArchive builds the images into one archive in Docker's format.
func WriteArchive(path string, images []Image) error {
	built := map[name.Reference]v1.Image{}
	for _, i := range images {
		img, err := Build(i)
		if err != nil {
			return fmt.Errorf("build image %s: %w", i.Names[0], err)
		}
		for _, n := range i.Names {
			ref, err := name.NewTag(n)
			if err != nil {
				return err
			}
			built[ref] = img
		}
	}
	return tarball.MultiRefWriteToFile(path, built)
}
