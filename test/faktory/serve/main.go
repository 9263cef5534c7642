// Serve runs a real Faktory server in the foreground, for `make dev`, until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/podrunner/runner/test/faktory"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "faktory:", err)
		os.Exit(1)
	}
}

func run() error {
	program := flag.String("program", "build/tools/faktory", "path of the server's binary")
	address := flag.String("address", "127.0.0.1:7419", "where the server takes commands")
	web := flag.String("web", "127.0.0.1:7420", "where its page for people is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "faktory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	log, err := os.Create(dir + "/log")
	if err != nil {
		return err
	}
	server, err := faktory.Start(ctx, faktory.Options{Program: *program, Dir: dir, Address: *address, Web: *web, Log: log})
	if err != nil {
		return err
	}
	fmt.Printf("Faktory takes jobs at %s; its page is http://%s\n", server.URL(), server.Web)
	<-ctx.Done()
	return server.Stop()
}
