package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// machines are the processors of the platforms, as ELF knows them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBinary refuses what would only fail in a pod, and there as "exec format error" or "no such file": a program for
// another processor, or one that wants a loader, which the image doesn't have.
func checkBinary(binary []byte, platform v1.Platform) error {
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return err
	}
	if file.Machine != machines[platform.Architecture] {
		return fmt.Errorf("it is for %s", file.Machine)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically; build it with CGO_ENABLED=0")
		}
	}
	return nil
}
