package pluginhost

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"runtime"
	"strings"
)

// platform says what a file is that the system does not run.
func platform(path string) string {
	here := runtime.GOOS + "/" + runtime.GOARCH
	if f, err := elf.Open(path); err == nil {
		defer func() { _ = f.Close() }()
		return fmt.Sprintf("it is an ELF program for %s, and this is %s", strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_")), here)
	}
	if f, err := macho.Open(path); err == nil {
		defer func() { _ = f.Close() }()
		return fmt.Sprintf("it is a macOS program for %s, and this is %s", strings.ToLower(strings.TrimPrefix(f.Cpu.String(), "Cpu")), here)
	}
	if f, err := pe.Open(path); err == nil {
		defer func() { _ = f.Close() }()
		return "it is a Windows program, and this is " + here
	}
	return "it is no program that this system knows, and this is " + here
}
