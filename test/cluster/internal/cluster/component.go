package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// component is one of the processes that a cluster consists of.
type component struct {
	name  string
	grace time.Duration // how long it may take to end by itself
	args  func(c *Cluster) []string
	probe func(ctx context.Context, c *Cluster) error // nil when it is ready
}

// components are in the order of their start: each needs only those before it.
var components = []component{
	{"etcd", 5 * time.Second, etcdArgs, get("http", etcdPort, "/health")},
	{"containerd", 5 * time.Second, containerdArgs, dialContainerd},
	// A polite end takes as long as its longest request, a watch. Everything it knows is in etcd.
	{"kube-apiserver", time.Second, apiserverArgs, apiserverReady},
	{"kube-controller-manager", time.Second, controllersArgs, get("https", controllersPort, "/healthz")},
	{"kube-scheduler", time.Second, schedulerArgs, get("https", schedulerPort, "/readyz")},
	{"kubelet", 2 * time.Second, kubeletArgs, get("http", kubeletPort, "/healthz")},
}

// find takes the names that people use too: without "kube-".
func find(name string) (component, error) {
	i := slices.IndexFunc(components, func(k component) bool { return k.name == name || k.name == "kube-"+name })
	if i < 0 {
		return component{}, fmt.Errorf("no component %q: the components are %s", name, strings.Join(Components(), ", "))
	}
	return components[i], nil
}

// Components returns the names of all components.
func Components() []string {
	var names []string
	for _, k := range components {
		names = append(names, k.name)
	}
	return names
}

// get makes a probe that asks for a path on a port of 127.0.0.1.
func get(scheme string, port int, path string) func(context.Context, *Cluster) error {
	url := fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, path)
	return func(ctx context.Context, _ *Cluster) error {
		// Their certificates are made anew at each start, by themselves; no more is asked than whether they are well.
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close() //nolint:errcheck // only its status was asked for
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		return nil
	}
}

func dialContainerd(ctx context.Context, c *Cluster) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket())
	if err != nil {
		return err
	}
	return conn.Close()
}

func apiserverReady(ctx context.Context, c *Cluster) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return err
	}
	// Not shared with later probes: a connection that outlives a restart would answer for the process that ended.
	config.Dial = new(net.Dialer).DialContext
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only its status was asked for
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/readyz: %s", server, response.Status)
	}
	return nil
}
