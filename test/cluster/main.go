// Cluster is a real Kubernetes of one node for tests, in one program: by its first argument it is one of the servers of
// Kubernetes, or the command that starts and stops them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/podrunner/runner/test/cluster/internal/manage"
)

// servers are made only when they are asked for: each registers flags and metrics of its own.
var servers = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	if len(os.Args) > 1 {
		serve(os.Args[1], os.Args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := manage.New().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// serve runs a server until it ends, and then ends the program; it returns when there is no such server.
func serve(name string, args []string) {
	if name == "etcd" {
		etcdmain.Main(append([]string{name}, args...))
		os.Exit(0)
	}
	if server, ok := servers[name]; ok {
		command := server()
		command.SetArgs(args)
		os.Exit(cli.Run(command))
	}
}
