// Image makes an image of ours, for several platforms, as one archive that clusters and container engines load. It needs
// neither an engine nor a registry.
//
// Usage: image -title TITLE -binaries DIR -reference NAME:TAG -version VERSION -out FILE [-arch ARCH]… [-program PATH]…
// [-file PATH=FILE]…, where DIR has the static programs of each architecture as ARCH/PATH: the one that gives the image its purpose, and each of
// -program. A file of -file is the same on all platforms. Paths are those in the image, without the first slash. The same
// input always gives the same bytes.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ExitOnError)
	title := flags.String("title", "", "which `image`: runner or runner-helper")
	binaries := flags.String("binaries", "", "the `folder` with ARCH/PATH of each program")
	reference := flags.String("reference", "", "the full `name` of the image, with its registry and its tag")
	version := flags.String("version", "dev", "the `version` of what is in it")
	out := flags.String("out", "", "the archive, a `file`")
	var chosen []v1.Platform
	flags.Func("arch", "an `architecture`; once for each (default: all that nodes have)", func(arch string) error {
		known := func(p v1.Platform) bool { return p.Architecture == arch }
		if !slices.ContainsFunc(platforms, known) || slices.ContainsFunc(chosen, known) {
			return fmt.Errorf("it is one of %v, and once", platforms)
		}
		chosen = append(chosen, platforms[slices.IndexFunc(platforms, known)])
		return nil
	})
	var programs []string
	files, paths := map[string]string{}, map[string]bool{}
	add := func(path string) error {
		if !fs.ValidPath(path) || path == "." || paths[path] {
			return errors.New("it is a path without the first slash, and once")
		}
		paths[path] = true
		return nil
	}
	flags.Func("program", "the `path` of one more program; once for each", func(path string) error {
		programs = append(programs, path)
		return add(path)
	})
	flags.Func("file", "the `path=file` of a file that is no program; once for each", func(text string) error {
		path, file, _ := strings.Cut(text, "=")
		files[path] = file
		return add(path)
	})
	_ = flags.Parse(args) // It exits on an error.
	k, ok := kinds[*title]
	if !ok {
		return fmt.Errorf("there is no image %q, only %q", *title, slices.Sorted(maps.Keys(kinds)))
	}
	// A short name would be completed by each engine in its own way, and a kubelet would not find it.
	if _, err := name.NewTag(*reference, name.StrictValidation); err != nil {
		return fmt.Errorf("reference of the image: %w", err)
	}
	if chosen == nil {
		chosen = platforms
	}
	contents, err := readContents(chosen, *binaries, append([]string{k.program}, programs...), files)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, *title, *reference, *version, contents); err != nil {
		return fmt.Errorf("make image %s: %w", *reference, err)
	}
	if err := replaceFile(*out, archive.Bytes()); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%s: image %s, version %s, %d kB\n", *out, *reference, *version, archive.Len()/1000)
	return err
}

// readContents reads the programs of each platform, and the files that all have.
func readContents(platforms []v1.Platform, folder string, programs []string, files map[string]string) ([]content, error) {
	var common []file
	for path, from := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, fmt.Errorf("read what is to be /%s: %w", path, err)
		}
		common = append(common, file{path, 0o644, data})
	}
	var contents []content
	for _, p := range platforms {
		c := content{platform: p, files: slices.Clone(common)}
		for _, path := range programs {
			binary, err := readBinary(filepath.Join(folder, p.Architecture, path), p)
			if err != nil {
				return nil, err
			}
			c.files = append(c.files, file{path, 0o755, binary})
		}
		contents = append(contents, c)
	}
	return contents, nil
}

// readBinary reads a program for a platform.
func readBinary(file string, p v1.Platform) ([]byte, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the program for %s: %w", p, err)
	}
	if err := checkBinary(binary, p); err != nil {
		return nil, fmt.Errorf("%s is no program for %s: %w", file, p, err)
	}
	return binary, nil
}

// replaceFile writes a file that nobody ever sees half of.
func replaceFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
