// Helperimage makes the image of runner-helper, for several platforms, as one archive that clusters and container engines
// load. It needs neither an engine nor a registry.
//
// Usage: helperimage -binaries DIR -reference NAME:TAG -version VERSION -out FILE, where DIR has the static binary of each
// architecture as ARCH/runner-helper. The same input always gives the same bytes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
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
	_ = flags.Parse(args) // It exits on an error.
	// A short name would be completed by each engine in its own way, and a kubelet would not find it.
	if _, err := name.NewTag(*reference, name.StrictValidation); err != nil {
		return fmt.Errorf("reference of the image: %w", err)
	}
	helpers, err := readHelpers(*binaries)
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

func readHelpers(folder string) ([]helper, error) {
	var helpers []helper
	for _, p := range platforms {
		file := filepath.Join(folder, p.Architecture, "runner-helper")
		binary, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the helper for %s: %w", p, err)
		}
		if err := checkBinary(binary, p); err != nil {
			return nil, fmt.Errorf("%s is no helper for %s: %w", file, p, err)
		}
		helpers = append(helpers, helper{platform: p, binary: binary})
	}
	return helpers, nil
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
