package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io"
	"path"
	"slices"
)

// rootfs has the files that are the same in all images: who nonroot is.
//
//go:embed rootfs
var rootfs embed.FS

// newLayer makes the content of an image, in the order of the paths. All of it belongs to root, so the program can write
// nothing but /tmp, if it has one, and what is mounted.
func newLayer(k kind, files []file) ([]byte, error) {
	files = slices.Clone(files)
	for _, name := range []string{"etc/group", "etc/passwd"} {
		data, err := rootfs.ReadFile("rootfs/" + name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, data})
	}
	if k.temp {
		files = append(files, file{path: "tmp/", mode: 0o1777})
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	var out bytes.Buffer
	w, made := tar.NewWriter(&out), map[string]bool{".": true}
	for _, f := range files {
		if err := addFolders(w, path.Dir(path.Clean(f.path)), made); err != nil {
			return nil, err
		}
		kind := byte(tar.TypeReg)
		if f.path[len(f.path)-1] == '/' {
			kind = tar.TypeDir
		}
		if err := addEntry(w, tar.Header{Typeflag: kind, Name: f.path, Mode: f.mode}, f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// addFolders adds a folder and those that it is in, unless they are made.
func addFolders(w *tar.Writer, folder string, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	made[folder] = true
	if err := addFolders(w, path.Dir(folder), made); err != nil {
		return err
	}
	return addEntry(w, tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755}, nil)
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
