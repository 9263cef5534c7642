// Package cluster runs a Kubernetes of one node on this machine: containerd from Debian, everything else from the program
// it is part of. All of its state is in one folder, and every address it listens on is of this machine
// alone.
package cluster

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Name is the context that the cluster has in a kubeconfig file.
const Name = "runner-cluster"

// DefaultDir is short, because the paths of sockets in it may not exceed 107 bytes.
const DefaultDir = "/var/lib/runner-cluster"

// The node's address is not one of loopback's own, which pods could not reach. It is the first of the services too, and
// the API server listens on 443 there: so a client in a pod finds it at the address of the service "kubernetes", though
// nothing forwards services.
const (
	nodeName    = "runner"
	nodeIP      = "10.88.0.1"
	serviceCIDR = "10.88.0.0/24"
	podCIDR     = "10.88.1.0/24"
	bridge      = "runner0"
)

// server is the address that all clients use.
const server = "https://" + nodeIP + ":443"

// The ports on 127.0.0.1. Those of etcd are not its usual ones, which another etcd may have.
const (
	etcdPort        = 23790
	etcdPeerPort    = 23800
	controllersPort = 10257
	schedulerPort   = 10259
	kubeletPort     = 10248
)

// Cluster is the cluster whose state is in a folder.
type Cluster struct {
	Dir     string
	Program string    // the path of this program, which is the servers of Kubernetes too
	Out     io.Writer // what it tells people
}

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

// Kubeconfig is the path of the administrator's kubeconfig file.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig("admin") }

func (c *Cluster) kubeconfig(user string) string { return c.path("kubeconfig", user+".yaml") }
func (c *Cluster) certificate(n string) string   { return c.path("pki", n+".crt") }
func (c *Cluster) key(n string) string           { return c.path("pki", n+".key") }
func (c *Cluster) log(component string) string   { return c.path("logs", component+".log") }
func (c *Cluster) socket() string                { return c.path("run", "containerd.sock") }

func (c *Cluster) say(format string, args ...any) { fmt.Fprintf(c.Out, format+"\n", args...) }

// folders makes the folders that the rest writes into.
func (c *Cluster) folders() error {
	for _, d := range []string{"pki", "kubeconfig", "config", "config/cni", "logs", "run", "images", "pods"} {
		if err := os.MkdirAll(c.path(d), 0o755); err != nil {
			return err
		}
	}
	return nil
}
