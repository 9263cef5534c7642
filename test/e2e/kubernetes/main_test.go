// Package kubernetes tests bin/core against a real Kubernetes: the one of KUBECONFIG or ~/.kube/config, which `make cluster`
// brings up. Core has no rights there but those of the Role in docs/kubernetes.md.
package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// limit is the time after which a run of core is given up: it hangs.
const limit = 3 * time.Minute

// root is the repository. admin is the client of the cluster's administrator, access how it got there.
var (
	root   string
	admin  kubernetes.Interface
	access *rest.Config
)

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e/kubernetes:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	var err error
	if root, err = filepath.Abs("../../.."); err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(root, "bin", "core")); err != nil {
		return 0, fmt.Errorf("the binaries are missing, run `make build`: %w", err)
	}
	if err := reach(); err != nil {
		if os.Getenv("CI") == "true" {
			return 0, fmt.Errorf("there is no cluster, and CI must have one: %w", err)
		}
		fmt.Fprintf(os.Stderr, "\n*** NOT TESTED: jobs in pods. There is no cluster: %v. Bring one up with `make cluster`.\n\n", err)
		return 0, nil
	}
	return m.Run(), nil
}

// reach connects to the cluster by the usual rules.
func reach() error {
	var err error
	access, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return err
	}
	access.QPS, access.Burst = 200, 400
	if admin, err = kubernetes.NewForConfig(access); err != nil {
		return err
	}
	_, err = admin.Discovery().ServerVersion()
	return err
}
