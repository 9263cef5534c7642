package image_test

import (
	"archive/tar"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/podrunner/runner/test/cluster/internal/image"
)

var base = image.Base([]byte("a program"), []string{"busybox", "sh", "sleep"}, "docker.io/alpine/curl:latest")

func TestTheArchiveHasEveryImageUnderItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.tar")
	if err := image.WriteArchive(path, base); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"localhost/busybox:dev", "docker.io/alpine/curl:latest", "localhost/noshell:dev", image.Pause} {
		tag, err := name.NewTag(want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tarball.ImageFromPath(path, &tag); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestTheFilesOfTheImages(t *testing.T) {
	busybox, noshell := files(t, base[0]), files(t, base[2])
	if h := busybox["tmp/"]; h == nil || h.Mode != 0o1777 {
		t.Errorf("/tmp is %+v, want a folder that everybody writes to", h)
	}
	if h := busybox["bin/sh"]; h == nil || h.Linkname != "/bin/busybox" {
		t.Errorf("/bin/sh is %+v, want a link", h)
	}
	if h := busybox["bin/busybox"]; h == nil || h.Typeflag != tar.TypeReg || h.Mode != 0o755 {
		t.Errorf("/bin/busybox is %+v, want the program itself", h)
	}
	if len(noshell) != 2 || noshell["bin/sleep"] == nil {
		t.Errorf("the image without a shell has more than one program: %v", noshell)
	}
}

func TestTheDigestIsOfContentAlone(t *testing.T) {
	same, err := image.Digest(image.Base([]byte("a program"), []string{"busybox", "sh", "sleep"}, "docker.io/alpine/curl:latest"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := image.Digest(image.Base([]byte("another"), []string{"busybox", "sh", "sleep"}, "docker.io/alpine/curl:latest"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := image.Digest(slices.Clone(base))
	if err != nil {
		t.Fatal(err)
	}
	if got != same || got == other {
		t.Errorf("%s, again %s, of another program %s", got, same, other)
	}
}

func files(t *testing.T, i image.Image) map[string]*tar.Header {
	t.Helper()
	img, err := image.Build(i)
	if err != nil {
		t.Fatal(err)
	}
	r := mutate.Extract(img)
	defer r.Close() //nolint:errcheck // only read
	found := map[string]*tar.Header{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		key := h.Name
		if h.Typeflag == tar.TypeDir && key[len(key)-1] != '/' {
			key += "/"
		}
		found[key] = h
	}
}
