package kubernetes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/version"
)

const (
	// namespaceFile holds the namespace of the pod that core runs in.
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	// dialTimeout bounds the connection to an address, be it the API server's or a pod's.
	dialTimeout = 10 * time.Second
)

// access is the way to a cluster.
type access struct {
	config    *rest.Config
	http      *http.Client
	namespace string
	// inCluster says that core runs in a pod of this cluster, so that it can reach pods by their addresses.
	inCluster bool
	// where it was found, for people.
	where string
}

func (a *access) String() string {
	return fmt.Sprintf("the cluster at %s (%s)", a.config.Host, a.where)
}

// noClusterAdvice is what to do when there is none.
const noClusterAdvice = "Name a kubeconfig with KUBECONFIG, or have a real cluster on this machine with `make cluster`;" +
	" a pipeline with executor = \"local\", or one command with --set executor=local, runs jobs on this machine with no cluster"

// findAccess finds the cluster by the usual rules: the kubeconfig that the settings name, KUBECONFIG, ~/.kube/config, the
// service account of the pod that core runs in.
func findAccess(s config.Kubernetes, log hclog.Logger) (*access, error) {
	quietKlog(log)
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.Kubeconfig
	rules.WarnIfAllMissing = false
	loaded, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w. %s", err, noClusterAdvice)
	}
	a := &access{}
	if len(loaded.Clusters) == 0 {
		err = a.fromPod()
	} else {
		overrides := &clientcmd.ConfigOverrides{CurrentContext: s.Context}
		err = a.fromKubeconfig(clientcmd.NewNonInteractiveClientConfig(*loaded, s.Context, overrides, rules), loaded.CurrentContext, s)
	}
	if err != nil {
		return nil, err
	}
	if s.Namespace != "" {
		a.namespace = s.Namespace
	}
	a.config.QPS, a.config.Burst = float32(s.QPS), s.Burst
	a.config.UserAgent = "runner/" + version.String()
	// No timeout: it would cut watches and port-forwards. See bounded.
	a.config.Timeout = 0
	a.config.WarningHandler = rest.NoWarnings{}
	a.config.ContentType = "application/vnd.kubernetes.protobuf"
	a.config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if a.config.Dial == nil {
		a.config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	transport, err := rest.TransportFor(a.config)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", a, err)
	}
	a.http = &http.Client{Transport: &bounded{next: transport, timeout: s.RequestTimeout}}
	return a, nil
}

func (a *access) fromPod() error {
	c, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return fmt.Errorf("there is no cluster: no kubeconfig was found, and core does not run in a pod. %s", noClusterAdvice)
	}
	if err != nil {
		return fmt.Errorf("read the service account of core's pod: %w", err)
	}
	a.config, a.inCluster, a.where, a.namespace = c, true, "the one that core runs in", "default"
	if data, err := os.ReadFile(namespaceFile); err == nil {
		a.namespace = strings.TrimSpace(string(data))
	}
	return nil
}

func (a *access) fromKubeconfig(c clientcmd.ClientConfig, current string, s config.Kubernetes) error {
	name := current
	if s.Context != "" {
		name = s.Context
	}
	var err error
	if a.config, err = c.ClientConfig(); err != nil {
		return fmt.Errorf("use the context %q of the kubeconfig: %w. `kubectl config get-contexts` lists what there is", name, err)
	}
	a.where = fmt.Sprintf("context %q", name)
	a.namespace, _, err = c.Namespace()
	if err != nil {
		return fmt.Errorf("find the namespace of the context %q: %w", name, err)
	}
	return nil
}

// explain says what an error of a first call means.
func (a *access) explain(err error) error {
	var urlErr *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s does not accept core's credentials: %w. Renew them", a, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("core's account lacks a right in %s: %w. docs/kubernetes.md has the Role that it needs", a, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("ask %s for pods: %w", a, err)
	case errors.As(err, &urlErr), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s can't be reached: %w. %s", a, err, noClusterAdvice)
	}
	return fmt.Errorf("ask %s for pods: %w", a, err)
}

// quietKlog gives what client-go has to say to core's own log: it would write to standard error, errors there as well
// as to its log.
func quietKlog(log hclog.Logger) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	_ = flags.Set("stderrthreshold", "FATAL") // it is a level
	klog.LogToStderr(false)
	klog.SetOutput(log.Named("client-go").StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}))
}
