package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is the smallest ELF file that says what it is for, with program headers of these types.
func program(machine elf.Machine, headers ...elf.ProgType) []byte {
	header := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(machine),
		Version:   uint32(elf.EV_CURRENT),
		Ehsize:    uint16(binary.Size(elf.Header64{})),
		Phoff:     uint64(binary.Size(elf.Header64{})),
		Phentsize: uint16(binary.Size(elf.Prog64{})),
		Phnum:     uint16(len(headers)),
	}
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, header)
	for _, h := range headers {
		_ = binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(h)})
	}
	return out.Bytes()
}

func TestRun(t *testing.T) {
	amd64, arm64 := program(elf.EM_X86_64, elf.PT_LOAD), program(elf.EM_AARCH64, elf.PT_LOAD)
	for _, test := range []struct {
		name      string
		reference string
		binaries  map[string][]byte
		programs  []string
		archs     []string
		err       string // "" when an archive is made
	}{
		{name: "both platforms", reference: testReference, binaries: map[string][]byte{"amd64": amd64, "arm64": arm64}},
		{name: "registry with a port", reference: "host:5000/runner-helper:v1", binaries: map[string][]byte{"amd64": amd64, "arm64": arm64}},
		{name: "no registry", reference: "runner-helper:dev", err: "reference of the image: "},
		{name: "no tag", reference: "localhost/runner-helper", err: "reference of the image: "},
		{name: "a digest", reference: "localhost/runner-helper@sha256:" + strings.Repeat("0", 64), err: "reference of the image: "},
		{
			name: "a platform is missing", reference: testReference, binaries: map[string][]byte{"amd64": amd64},
			err: "read the program for linux/arm64: ",
		},
		{name: "one platform alone", reference: testReference, binaries: map[string][]byte{"arm64": arm64}, archs: []string{"arm64"}},
		{
			name: "of another platform", reference: testReference, binaries: map[string][]byte{"amd64": amd64, "arm64": amd64},
			err: "no program for linux/arm64: it is for EM_X86_64",
		},
		{
			name: "not static", reference: testReference, err: "no program for linux/amd64: it is linked dynamically; build it with CGO_ENABLED=0",
			binaries: map[string][]byte{"amd64": program(elf.EM_X86_64, elf.PT_INTERP, elf.PT_LOAD), "arm64": arm64},
		},
		{
			name: "with programs that jobs call", reference: testReference, programs: []string{"tools/b", "tools/a"},
			binaries: map[string][]byte{
				"amd64": amd64, "arm64": arm64, "amd64/tools/a": amd64, "arm64/tools/a": arm64, "amd64/tools/b": amd64, "arm64/tools/b": arm64,
			},
		},
		{
			name: "a program is missing on a platform", reference: testReference, programs: []string{"tools/a"},
			binaries: map[string][]byte{"amd64": amd64, "arm64": arm64, "amd64/tools/a": amd64}, err: "read the program for linux/arm64: ",
		},
		{
			name: "a program of another platform", reference: testReference, programs: []string{"tools/a"},
			binaries: map[string][]byte{"amd64": amd64, "arm64": arm64, "amd64/tools/a": amd64, "arm64/tools/a": amd64},
			err:      "no program for linux/arm64: it is for EM_X86_64",
		},
		{
			name: "no program", reference: testReference, binaries: map[string][]byte{"amd64": []byte("#!/bin/sh\n"), "arm64": arm64},
			err: "no program for linux/amd64: ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			first, err := runIn(t, test.reference, test.binaries, test.programs, test.archs, time.Unix(1e9, 0))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("the error is %v, want %q", err, test.err)
				}
				if first != nil {
					t.Error("there is an archive all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// Another folder, and binaries of another time.
			second, err := runIn(t, test.reference, test.binaries, test.programs, test.archs, time.Unix(2e9, 0))
			if err != nil {
				t.Fatal(err)
			}
			if len(first) == 0 || !bytes.Equal(first, second) {
				t.Errorf("the same input gives different bytes (%d and %d)", len(first), len(second))
			}
		})
	}
}

// runIn runs the program in a folder of its own, with binaries by their architectures or paths, and gives the archive, nil when there is none.
func runIn(t *testing.T, reference string, binaries map[string][]byte, programs, archs []string, built time.Time) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	for arch, data := range binaries {
		file := filepath.Join(dir, "helper", arch, "runner-helper")
		if strings.Contains(arch, "/") {
			file = filepath.Join(dir, "helper", arch)
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, built, built); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "images", "runner-helper.tar")
	var stdout bytes.Buffer
	args := []string{"-title", testTitle, "-binaries", filepath.Join(dir, "helper"), "-reference", reference, "-version", testVersion, "-out", out}
	for _, path := range programs {
		args = append(args, "-program", path)
	}
	for _, arch := range archs {
		args = append(args, "-arch", arch)
	}
	err := run(args, &stdout)
	if err == nil && !strings.Contains(stdout.String(), reference) {
		t.Errorf("it prints %q, without the name of the image", stdout.String())
	}
	archive, readErr := os.ReadFile(out)
	if err == nil && readErr != nil {
		t.Fatal(readErr)
	}
	return archive, err
}

// TestFiles: a file is in the image of each platform, and one that is missing is named.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for path, data := range map[string][]byte{"amd64/core": program(elf.EM_X86_64), "arm64/core": program(elf.EM_AARCH64), "own.hcl": []byte("own")} {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	contents, err := readContents(platforms, dir, []string{"core"}, map[string]string{"runner.hcl": filepath.Join(dir, "own.hcl")})
	if err != nil {
		t.Fatal(err)
	}
	if len(contents) != len(platforms) {
		t.Fatalf("there are %d platforms", len(contents))
	}
	for _, c := range contents {
		if f := c.files[0]; f.path != "runner.hcl" || f.mode != 0o644 || string(f.data) != "own" {
			t.Errorf("for %s the first file is %s of mode %o with %q", c.platform, f.path, f.mode, f.data)
		}
	}
	_, err = readContents(platforms, dir, []string{"core"}, map[string]string{"runner.hcl": filepath.Join(dir, "none.hcl")})
	if err == nil || !strings.Contains(err.Error(), "read what is to be /runner.hcl: ") {
		t.Errorf("a file that is missing gives %v", err)
	}
}

func TestNoSuchImage(t *testing.T) {
	err := run([]string{"-title", "core"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `there is no image "core", only ["runner" "runner-helper"]`) {
		t.Errorf("the error is %v", err)
	}
}
