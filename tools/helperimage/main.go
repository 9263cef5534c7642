// Helperimage makes the image of runner-helper, for several platforms, as one archive that clusters and container engines
// load. It needs neither an engine nor a registry.
//
// Usage: helperimage -binaries DIR -reference NAME:TAG -version VERSION -out FILE [-tool NAME]…, where DIR has the static
// binary of each architecture as ARCH/runner-helper, and as ARCH/tools/NAME each program that jobs call. The same input
// always gives the same bytes.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "helperimage:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("helperimage", flag.ExitOnError)
	binaries := flags.String("binaries", "", "the `folder` with ARCH/runner-helper of each architecture")
	reference := flags.String("reference", "", "the full `name` of the image, with its registry and its tag")
	version := flags.String("version", "dev", "the `version` of the helper")
	out := flags.String("out", "", "the archive, a `file`")
	var tools []string
	flags.Func("tool", "the `name` of a program that jobs call, in ARCH/tools; once for each", func(name string) error {
		if name != filepath.Base(name) || name == "." || name == ".." || slices.Contains(tools, name) {
			return errors.New("it is the plain name of a file, and once")
		}
		tools = append(tools, name)
		return nil
	})
	_ = flags.Parse(args) // It exits on an error.
	// A short name would be completed by each engine in its own way, and a kubelet would not find it.
	if _, err := name.NewTag(*reference, name.StrictValidation); err != nil {
		return fmt.Errorf("reference of the image: %w", err)
	}
	slices.Sort(tools)
	helpers, err := readHelpers(*binaries, tools)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, *reference, *version, helpers); err != nil {
		return fmt.Errorf("make image %s: %w", *reference, err)
	}
	if err := replaceFile(*out, archive.Bytes()); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%s: image %s, version %s, %d kB\n", *out, *reference, *version, archive.Len()/1000)
	return err
}

func readHelpers(folder string, tools []string) ([]helper, error) {
	var helpers []helper
	for _, p := range platforms {
		h := helper{platform: p}
		var err error
		if h.binary, err = readBinary("helper", filepath.Join(folder, p.Architecture, "runner-helper"), p); err != nil {
			return nil, err
		}
		for _, name := range tools {
			binary, err := readBinary("program", filepath.Join(folder, p.Architecture, "tools", name), p)
			if err != nil {
				return nil, err
			}
			h.tools = append(h.tools, tool{name, binary})
		}
		helpers = append(helpers, h)
	}
	return helpers, nil
}

// readBinary reads a program for a platform; what says for people which one.
func readBinary(what, file string, p v1.Platform) ([]byte, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the %s for %s: %w", what, p, err)
	}
	if err := checkBinary(binary, p); err != nil {
		return nil, fmt.Errorf("%s is no %s for %s: %w", file, what, p, err)
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
