package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/podrunner/runner/sdk/protocol"
)

// command is a subcommand: it returns the exit code.
//
//	tell, enqueue
//	        print their arguments, their input, their configuration if there is one, and the names of their variables
//	exit    ends with the code that follows
//	killed  kills itself
//	wait    says so, and ends with code 4 when it is told to
//	stuck   says so, and does not heed what it is told
//	leave   ends, and leaves a process behind that holds the configuration's descriptor
func command(args []string) int {
	switch args[0] {
	case "tell", "enqueue":
		return tell(args)
	case "exit":
		code, _ := strconv.Atoi(args[1])
		return code
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "leave":
		return leave()
	case "wait", "stuck":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		fmt.Println("waiting")
		<-told
		if args[0] == "stuck" {
			select {}
		}
		return 4
	}
	return 9
}

func tell(args []string) int {
	fmt.Printf("args %q\n", args)
	stdin, _ := io.ReadAll(os.Stdin)
	var config []byte
	if fd, err := strconv.Atoi(os.Getenv(protocol.EnvConfigFD)); err == nil {
		if config, err = io.ReadAll(os.NewFile(uintptr(fd), "configuration")); err != nil {
			stderr(err.Error())
			return 9
		}
	}
	fmt.Printf("stdin %q\nconfig %q\n", stdin, config)
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		fmt.Println(name)
	}
	return 0
}

func leave() int {
	fd, err := strconv.Atoi(os.Getenv(protocol.EnvConfigFD))
	if err != nil {
		return 9
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "configuration")}
	if err := cmd.Start(); err != nil {
		return 9
	}
	fmt.Printf("grandchild %d\n", cmd.Process.Pid)
	return 0
}
