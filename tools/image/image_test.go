package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const (
	testTitle     = "runner-helper"
	testReference = "localhost/runner-helper:dev"
	testVersion   = "v1.2.3"
)

func testContents() []content {
	var contents []content
	for _, p := range platforms {
		contents = append(contents, content{p, []file{{"runner-helper", 0o755, []byte("the helper for " + p.Architecture)}}})
	}
	return contents
}

// testArchive is the archive of testContents, and its files by their names.
func testArchive(t *testing.T) ([]byte, map[string][]byte) {
	t.Helper()
	var out bytes.Buffer
	if err := writeArchive(&out, testTitle, testReference, testVersion, testContents()); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries(t, out.Bytes()) {
		files[e.header.Name] = e.data
	}
	return out.Bytes(), files
}

type entry struct {
	header *tar.Header
	data   []byte
}

func entries(t *testing.T, archive []byte) []entry {
	t.Helper()
	var out []entry
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entry{h, data})
	}
}

func parse[T any](t *testing.T, data []byte) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return out
}

// blob is a blob of the archive, which has to be there with its size and under its hash.
func blob(t *testing.T, files map[string][]byte, d v1.Descriptor) []byte {
	t.Helper()
	data, ok := files[blobPath(d.Digest)]
	if sum := sha256.Sum256(data); !ok || int64(len(data)) != d.Size || hex.EncodeToString(sum[:]) != d.Digest.Hex {
		t.Fatalf("blob %s is not in the archive, or is not what its name says (%d bytes)", d.Digest, len(data))
	}
	return data
}

// TestArchive goes the way of an engine: from the layout's entry to the index, and from there to each platform's image.
func TestArchive(t *testing.T) {
	_, files := testArchive(t)
	if got := string(files["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %s", got)
	}
	layout := parse[v1.IndexManifest](t, files["index.json"])
	if len(layout.Manifests) != 1 {
		t.Fatalf("the layout has %d images, want the index of all platforms alone", len(layout.Manifests))
	}
	named := map[string]string{"io.containerd.image.name": testReference, "org.opencontainers.image.ref.name": "dev"}
	if got := layout.Manifests[0].Annotations; !reflect.DeepEqual(got, named) {
		t.Errorf("the image is named by %v, want %v", got, named)
	}
	index := parse[v1.IndexManifest](t, blob(t, files, layout.Manifests[0]))
	if index.MediaType != types.OCIImageIndex || len(index.Manifests) != len(platforms) {
		t.Fatalf("the image is a %s of %d platforms", index.MediaType, len(index.Manifests))
	}
	for i, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}} {
		t.Run(p.String(), func(t *testing.T) {
			if got := index.Manifests[i].Platform; got == nil || !got.Equals(p) {
				t.Errorf("the index has platform %v", got)
			}
			manifest := parse[v1.Manifest](t, blob(t, files, index.Manifests[i]))
			if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.OCIConfigJSON {
				t.Errorf("the manifest is a %s, its configuration a %s", manifest.MediaType, manifest.Config.MediaType)
			}
			layer := checkLayer(t, p, blob(t, files, manifest.Layers[0]))
			checkConfig(t, p, parse[v1.ConfigFile](t, blob(t, files, manifest.Config)), layer)
		})
	}
}

// checkLayer checks the content of an image, and gives the hash of the layer as it is unpacked.
func checkLayer(t *testing.T, p v1.Platform, compressed []byte) v1.Hash {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !r.ModTime.IsZero() {
		t.Errorf("the layer is of %s", r.ModTime)
	}
	want := []struct {
		name string
		mode int64
		data string
	}{
		{"etc/", 0o755, ""},
		{"etc/group", 0o644, "root:x:0:\nnonroot:x:65532:\n"},
		{"etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"},
		{"runner-helper", 0o755, "the helper for " + p.Architecture},
	}
	got := entries(t, layer)
	if len(got) != len(want) {
		t.Fatalf("the layer has %d entries, want %d", len(got), len(want))
	}
	for i, w := range want {
		h := got[i].header
		if h.Name != w.name || h.Mode != w.mode || string(got[i].data) != w.data {
			t.Errorf("entry %s of mode %o has %q, want %s of mode %o with %q", h.Name, h.Mode, got[i].data, w.name, w.mode, w.data)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s is user %d's (%q) and group %d's (%q), of %s", h.Name, h.Uid, h.Uname, h.Gid, h.Gname, h.ModTime)
		}
	}
	sum := sha256.Sum256(layer)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func checkConfig(t *testing.T, p v1.Platform, got v1.ConfigFile, layer v1.Hash) {
	t.Helper()
	made := v1.Time{Time: time.Unix(0, 0).UTC()}
	want := v1.ConfigFile{
		OS:           "linux",
		Architecture: p.Architecture,
		Created:      made,
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layer}},
		History:      []v1.History{{Created: made, CreatedBy: "tools/image"}},
		Config: v1.Config{
			User:       "65532:65532",
			WorkingDir: "/",
			Entrypoint: []string{"/runner-helper"},
			Labels: map[string]string{
				"org.opencontainers.image.title":    "runner-helper",
				"org.opencontainers.image.version":  "v1.2.3",
				"org.opencontainers.image.source":   "https://github.com/podrunner/runner",
				"org.opencontainers.image.licenses": "MIT",
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the configuration is\n%+v, want\n%+v", got, want)
	}
}

// TestArchiveInDockersFormat reads the archive as engines do that know no layouts.
func TestArchiveInDockersFormat(t *testing.T) {
	data, _ := testArchive(t)
	manifest, err := tarball.LoadManifest(opener(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || !reflect.DeepEqual(manifest[0].RepoTags, []string{testReference}) {
		t.Errorf("the table of contents is %+v", manifest)
	}
	image, err := tarball.Image(opener(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := *config.Platform(); !got.Equals(platforms[0]) {
		t.Errorf("the image is that of %s", got)
	}
}

func TestSameBytes(t *testing.T) {
	first, _ := testArchive(t)
	second, _ := testArchive(t)
	if !bytes.Equal(first, second) {
		t.Error("the same input gives different bytes")
	}
	for _, e := range entries(t, first) {
		if !e.header.ModTime.Equal(time.Unix(0, 0)) || e.header.Uid != 0 || e.header.Gid != 0 || e.header.Mode != 0o644 {
			t.Errorf("%s is of %s, user %d's, mode %o", e.header.Name, e.header.ModTime, e.header.Uid, e.header.Mode)
		}
	}
}

// TestDigestIsStable has the identities of known images, so that a moment, a user or a machine that gets in is noticed;
// whoever changes the image on purpose changes them here. They are those of the configurations, which have the hash of the
// layer in them as it is before compression: what gzip makes of it may change with Go.
func TestDigestIsStable(t *testing.T) {
	_, images, err := newIndex(testTitle, testVersion, testContents())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"sha256:e3ddb4e8c6ad89e2acb9d4a75ae14bfe219d0bd0e243cac561961b430fc98f56",
		"sha256:77e2376c0757a70adc96c44564fdb475af29aed602fb8b47dd75d9dbdbac0276",
	} {
		got, err := images[i].ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("the image for %s is %s, want %s", platforms[i], got, want)
		}
	}
}

func TestDigestTellsInputsApart(t *testing.T) {
	digest := func(version string, contents []content) string {
		index, _, err := newIndex(testTitle, version, contents)
		if err != nil {
			t.Fatal(err)
		}
		d, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	other := testContents()
	other[1].files[0].data = []byte("another helper")
	base := digest(testVersion, testContents())
	if digest("v1.2.4", testContents()) == base || digest(testVersion, other) == base {
		t.Error("another version, or another helper, gives the same digest")
	}
}

// TestLayer: files and folders are in the order of their paths, whatever that of the input is, each folder once, and /tmp is
// there for a program that needs it.
func TestLayer(t *testing.T) {
	files := []file{{"tools/b", 0o755, []byte("b")}, {"etc/ssl/certs/all", 0o644, []byte("all")}, {"tools/a", 0o755, []byte("a")}, {"core", 0o755, nil}}
	for temp, want := range map[bool][]string{
		false: {"core 755", "etc/ 755", "etc/group 644", "etc/passwd 644", "etc/ssl/ 755", "etc/ssl/certs/ 755", "etc/ssl/certs/all 644", "tools/ 755", "tools/a 755", "tools/b 755"},
		true:  {"core 755", "etc/ 755", "etc/group 644", "etc/passwd 644", "etc/ssl/ 755", "etc/ssl/certs/ 755", "etc/ssl/certs/all 644", "tmp/ 1777", "tools/ 755", "tools/a 755", "tools/b 755"},
	} {
		layer, err := newLayer(kind{temp: temp}, files)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries(t, layer) {
			got = append(got, fmt.Sprintf("%s %o", e.header.Name, e.header.Mode))
		}
		if !slices.Equal(got, want) {
			t.Errorf("with a /tmp %v the files are\n%q, want\n%q", temp, got, want)
		}
	}
}

// TestRunner has what is different in the image of core.
func TestRunner(t *testing.T) {
	_, images, err := newIndex("runner", testVersion, testContents())
	if err != nil {
		t.Fatal(err)
	}
	got, err := images[0].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/core"}, Cmd: []string{"run"}, Labels: map[string]string{
			"org.opencontainers.image.title":    "runner",
			"org.opencontainers.image.version":  "v1.2.3",
			"org.opencontainers.image.source":   "https://github.com/podrunner/runner",
			"org.opencontainers.image.licenses": "MIT",
		},
	}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("the configuration is\n%+v, want\n%+v", got.Config, want)
	}
}
