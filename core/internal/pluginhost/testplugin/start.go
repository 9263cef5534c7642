package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
)

// childVariable marks a process as the grandchild of core.
const childVariable = "TESTPLUGIN_CHILD"

// startModes are what some modes do before they serve. Most then serve like the good ones.
var startModes = map[string]func(){
	// What stderr and stdout may hold.
	"odd-json": func() {
		stderr(`{"@message":1}`)
		stderr(`{"@message":"epoch","@timestamp":1700000000.5,"@level":"warn"}`)
		stderr(`{"@message":["a",{"b":null}],"@level":7,"@module":{},"@timestamp":null,"key":[1,2]}`)
		stderr(`{"@message":`)
		stderr(`null`)
		stderr(`[ERROR] a line with a tag`)
	},
	"long-lines": func() {
		fmt.Println(strings.Repeat("o", 70<<10))
		stderr(strings.Repeat("e", 70<<10))
		stderr("after the long line")
		go func() { // core must read on after the handshake, too
			time.Sleep(50 * time.Millisecond)
			_, _ = syscall.Write(1, []byte(strings.Repeat("O", 70<<10)+"\n"))
			stderr("after the long line on stdout")
		}()
	},
	"garbage": func() { fmt.Print("Loading…\n1|2|3\n\x00\xff\x1b[2J|||||\nready?\n") },
	"flood":   func() { flood(20000) },

	// Families.
	"grandchild":         func() { spawn(false) },
	"grandchild-escaped": func() { spawn(true) },

	// Starts that fail, or take their time.
	"slow-start":     func() { time.Sleep(300 * time.Millisecond) },
	"exit-at-start":  func() { exit(3, "no database here") },
	"panic-at-start": func() { panic("a test's panic at the start") },
	"group-left":     func() { leaveGroup(); select {} },
	"hang-at-start":  func() { stderr("waiting for a database"); select {} },
	"not-a-plugin":   func() { fmt.Println("Hello, world"); os.Exit(0) },
	"yes":            func() { feedStdout() },
	"netrpc":         func() { shake("1|1|unix|%s|netrpc"); select {} },
	"go-plugin-2":    func() { shake("2|1|unix|%s|grpc"); select {} },
	"wants-tls":      func() { shake("1|1|unix|%s|grpc|" + strings.Repeat("QUFB", 40)); select {} },
	"tcp":            func() { fmt.Println("1|1|tcp|127.0.0.1:1|grpc"); select {} },
	"mute":           func() { shake("1|1|unix|%s|grpc"); select {} },
	"handshake-exit": func() { shake("1|1|unix|%s|grpc"); exit(4, "changed its mind") },

	// Ends that fail.
	"ignore-shutdown": func() { signal.Ignore(syscall.SIGTERM, syscall.SIGINT) },
	"lifeline": func() {
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); exit(0, "core is gone") }()
	},
}

// realStderr is standard error also when go-plugin has put a pipe in its place.
var realStderr = os.Stderr

func stderr(line string) { _, _ = io.WriteString(os.Stderr, line+"\n") }

func exit(code int, words string) {
	_, _ = syscall.Write(2, []byte(words+"\n")) // os.Stderr is go-plugin's by now, perhaps
	os.Exit(code)
}

func flood(lines int) {
	for i := range lines {
		fmt.Fprintf(os.Stderr, `{"@level":"info","@message":"flood","i":%d}`+"\n", i)
	}
}

// feedStdout prints for ever, past go-plugin, to the real standard output.
func feedStdout() {
	text := []byte(strings.Repeat("y\n", 2048))
	for {
		if _, err := syscall.Write(1, text); err != nil {
			return
		}
	}
}

// shake listens on a socket that nobody serves, and prints a handshake.
func shake(format string) {
	path := filepath.Join(os.Getenv(plugin.EnvUnixSocketDir), "mute")
	listener, err := net.Listen("unix", path)
	if err != nil {
		exit(9, err.Error())
	}
	unserved = append(unserved, listener)
	fmt.Printf(format+"\n", path)
}

// unserved keeps listeners from being collected, which would close them.
var unserved []net.Listener

// sockets are ours: the one that is listened on, and core's connection.
func sockets() []*os.File {
	var out []*os.File
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		fd, _ := strconv.Atoi(entry.Name())
		if target, _ := os.Readlink("/proc/self/fd/" + entry.Name()); strings.HasPrefix(target, "socket:") {
			out = append(out, os.NewFile(uintptr(fd), target))
		}
	}
	return out
}

// spawn starts a process that holds our outputs, and what else it is given, in our group or in one of its own.
func spawn(escape bool, files ...*os.File) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = os.Args[0] + "-child"
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: escape}
	if err := cmd.Start(); err != nil {
		exit(9, err.Error())
	}
	_, _ = fmt.Fprintf(realStderr, "[INFO] grandchild %d\n", cmd.Process.Pid)
}

// leaveGroup goes over to core's process group.
func leaveGroup() {
	group, err := syscall.Getpgid(os.Getppid())
	if err == nil {
		err = syscall.Setpgid(0, group)
	}
	if err != nil {
		exit(9, err.Error())
	}
}
