package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// annotationImageName is where containerd looks for the full name of an image in an OCI layout.
	annotationImageName = "io.containerd.image.name"
	// annotationRefName is where the specification has the tag.
	annotationRefName = "org.opencontainers.image.ref.name"
)

// archive is the files of an OCI layout, by their paths.
type archive map[string][]byte

// writeArchive makes an image and writes it as an OCI layout in a tar, whose only image is the index of all
// platforms. It also has the table of contents of Docker's format, over the same blobs: engines that know no layouts find
// the first platform there. Containerd prefers the layout.
func writeArchive(w io.Writer, title, reference, version string, contents []content) error {
	index, images, err := newIndex(title, version, contents)
	if err != nil {
		return err
	}
	files := archive{}
	for _, image := range images {
		if err := files.addImage(image); err != nil {
			return err
		}
	}
	if err := files.addIndex(index, reference); err != nil {
		return err
	}
	if err := files.addDockerManifest(images[0], reference); err != nil {
		return err
	}
	return files.write(w)
}

func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// addImage adds the blobs of an image.
func (a archive) addImage(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := a.addLayer(layer); err != nil {
			return err
		}
	}
	for _, raw := range []func() ([]byte, error){image.RawConfigFile, image.RawManifest} {
		if err := a.addBlob(raw); err != nil {
			return err
		}
	}
	return nil
}

func (a archive) addLayer(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	compressed, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { _ = compressed.Close() }()
	a[blobPath(digest)], err = io.ReadAll(compressed)
	return err
}

func (a archive) addBlob(raw func() ([]byte, error)) error {
	data, err := raw()
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(data))
	a[blobPath(digest)] = data
	return err
}

// addIndex adds the index of the platforms, and the entry of the layout that gives it its name.
func (a archive) addIndex(index v1.ImageIndex, reference string) error {
	if err := a.addBlob(index.RawManifest); err != nil {
		return err
	}
	entry, err := partial.Descriptor(index)
	if err != nil {
		return err
	}
	entry.Annotations = map[string]string{
		annotationImageName: reference,
		annotationRefName:   reference[strings.LastIndex(reference, ":")+1:],
	}
	return a.addJSON(map[string]any{
		"oci-layout": map[string]string{"imageLayoutVersion": "1.0.0"},
		"index.json": v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{*entry}},
	})
}

// addDockerManifest adds what `docker save` of one platform would have, except that its layers are compressed.
func (a archive) addDockerManifest(image v1.Image, reference string) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	entry := tarball.Descriptor{Config: blobPath(manifest.Config.Digest), RepoTags: []string{reference}}
	for _, layer := range manifest.Layers {
		entry.Layers = append(entry.Layers, blobPath(layer.Digest))
	}
	return a.addJSON(map[string]any{"manifest.json": tarball.Manifest{entry}})
}

func (a archive) addJSON(files map[string]any) error {
	for name, value := range files {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a[name] = data
	}
	return nil
}

func (a archive) write(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if err := addEntry(t, tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, a[name]); err != nil {
			return err
		}
	}
	return t.Close()
}
