// Cluster measures core on a Kubernetes cluster, that of the kubeconfig, with the real binaries: how long a trivial job
// takes, in turns with a bare pod that runs the same command, and how fast a large log comes out of core, and with how much
// memory. It prints one table, and fails only when a program does, or a log is not what the job wrote. It works in a
// namespace of its own, which it makes and deletes. Run it from the repository: `make bench-cluster`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// limit bounds the whole run.
const limit = 20 * time.Minute

type options struct {
	kubeContext, image    string
	jobs, logs, mebibytes int
	verbose               bool
}

func main() {
	var o options
	flag.StringVar(&o.kubeContext, "context", "", "`name` of the kubeconfig's context (default: the current one)")
	flag.StringVar(&o.image, "image", "localhost/busybox:dev", "`image` with sh, echo and awk, which the nodes have or can pull")
	flag.IntVar(&o.jobs, "jobs", 10, "how often each trivial job is run")
	flag.IntVar(&o.logs, "logs", 3, "how often each large log is fetched")
	flag.IntVar(&o.mebibytes, "mib", 64, "size of the large log, `MiB`")
	flag.BoolVar(&o.verbose, "v", false, "print each measurement as it is made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
