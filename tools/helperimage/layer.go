package main

import (
	"archive/tar"
	"bytes"
	"embed"
	"fmt"
	"io"
	"path"
)

// rootfs has the files that are the same on all platforms.
//
//go:embed rootfs
var rootfs embed.FS

// newLayer makes the content of the image: the helper, who nonroot is, and the programs that jobs call. All of it belongs to root, so the helper can
// write nothing but what is mounted; it needs no /tmp.
func newLayer(h helper) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := addEntry(w, tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, nil); err != nil {
		return nil, err
	}
	for _, name := range []string{"etc/group", "etc/passwd"} {
		data, err := rootfs.ReadFile("rootfs/" + name)
		if err != nil {
			return nil, err
		}
		if err := addEntry(w, tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, data); err != nil {
			return nil, err
		}
	}
	if err := addEntry(w, tar.Header{Typeflag: tar.TypeReg, Name: helperPath[1:], Mode: 0o755}, h.binary); err != nil {
		return nil, err
	}
	if len(h.tools) > 0 {
		if err := addEntry(w, tar.Header{Typeflag: tar.TypeDir, Name: toolsDir[1:] + "/", Mode: 0o755}, nil); err != nil {
			return nil, err
		}
	}
	for _, t := range h.tools {
		if err := addEntry(w, tar.Header{Typeflag: tar.TypeReg, Name: path.Join(toolsDir[1:], t.name), Mode: 0o755}, t.binary); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// addEntry adds a file or folder, root's and of no time.
func addEntry(w *tar.Writer, header tar.Header, data []byte) error {
	header.Size, header.ModTime, header.Format = int64(len(data)), epoch, tar.FormatUSTAR
	if err := w.WriteHeader(&header); err != nil {
		return fmt.Errorf("add %s: %w", header.Name, err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("add %s: %w", header.Name, err)
	}
	return nil
}

func opener(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}
