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
	testReference = "localhost/runner-helper:dev"
	testVersion   = "v1.2.3"
)

func testHelpers() []helper {
	var helpers []helper
	for _, p := range platforms {
		helpers = append(helpers, helper{platform: p, binary: []byte("the helper for " + p.Architecture)})
	}
	return helpers
}

// testArchive is the archive of testHelpers, and its files by their names.
func testArchive(t *testing.T) ([]byte, map[string][]byte) {
	t.Helper()
	var out bytes.Buffer
	if err := writeArchive(&out, testReference, testVersion, testHelpers()); err != nil {
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
		History:      []v1.History{{Created: made, CreatedBy: "helperimage"}},
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
	_, images, err := newIndex(testVersion, testHelpers())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"sha256:201f58ea9b09b9997964b1799ddc0a38da30ad563e2115650de9d16d2ee895ac",
		"sha256:10a3df5a47b13e446aaba12942591ee316494347b4329b69440028754def7b73",
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
	digest := func(version string, helpers []helper) string {
		index, _, err := newIndex(version, helpers)
		if err != nil {
			t.Fatal(err)
		}
		d, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	other := testHelpers()
	other[1].binary = []byte("another helper")
	base := digest(testVersion, testHelpers())
	if digest("v1.2.4", testHelpers()) == base || digest(testVersion, other) == base {
		t.Error("another version, or another helper, gives the same digest")
	}
}

// TestTools: the programs that jobs call are in a folder of their own, after all else, so that an image without them is the
// one that it always was.
func TestTools(t *testing.T) {
	h := testHelpers()[0]
	without, err := newLayer(h)
	if err != nil {
		t.Fatal(err)
	}
	h.tools = []tool{{"a", []byte("the program a")}, {"b", []byte("the program b")}}
	with, err := newLayer(h)
	if err != nil {
		t.Fatal(err)
	}
	more := entries(t, with)[len(entries(t, without)):]
	var got []string
	for _, e := range more {
		got = append(got, fmt.Sprintf("%s %o %s", e.header.Name, e.header.Mode, e.data))
	}
	if want := []string{"tools/ 755 ", "tools/a 755 the program a", "tools/b 755 the program b"}; !slices.Equal(got, want) {
		t.Errorf("the programs are %q, want %q", got, want)
	}
}
