package kubeconfig_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/podrunner/runner/test/cluster/internal/kubeconfig"
)

var ours = kubeconfig.Cluster{
	Name: "runner-cluster", Server: "https://10.88.0.1:443",
	Authority: []byte("authority"), Certificate: []byte("certificate"), Key: []byte("key"),
}

const theirs = `apiVersion: v1
kind: Config
current-context: prod
clusters: [{name: prod, cluster: {server: "https://prod.example"}}]
contexts: [{name: prod, context: {cluster: prod, user: me, namespace: web}}]
users: [{name: me, user: {token: secret}}]
`

func TestAFileThatOnlyWeWroteIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "config")
	if err := kubeconfig.Merge(path, ours); err != nil {
		t.Fatal(err)
	}
	config := load(t, path)
	if config.CurrentContext != ours.Name || config.Clusters[ours.Name].Server != ours.Server {
		t.Errorf("the cluster is not the current one: %+v", config)
	}
	if err := kubeconfig.Remove(path, ours.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestWhatOthersWroteStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as each `up` does
		if err := kubeconfig.Merge(path, ours); err != nil {
			t.Fatal(err)
		}
	}
	config := load(t, path)
	if config.CurrentContext != ours.Name {
		t.Errorf("the current context is %q", config.CurrentContext)
	}
	if len(config.Contexts) != 2 || config.AuthInfos["me"].Token != "secret" || config.Contexts["prod"].Namespace != "web" {
		t.Errorf("theirs did not survive the merge: %+v", config)
	}
	if err := kubeconfig.Remove(path, ours.Name); err != nil {
		t.Fatal(err)
	}
	config = load(t, path)
	if len(config.Contexts) != 1 || len(config.Clusters) != 1 || len(config.AuthInfos) != 1 || config.AuthInfos["me"].Token != "secret" {
		t.Errorf("theirs did not survive the removal: %+v", config)
	}
	if config.CurrentContext != "" {
		t.Errorf("the current context is %q, which is gone", config.CurrentContext)
	}
}

func TestAnotherCurrentContextStaysCurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubeconfig.Remove(path, ours.Name); err != nil {
		t.Fatal(err)
	}
	if config := load(t, path); config.CurrentContext != "prod" {
		t.Errorf("the current context is %q", config.CurrentContext)
	}
}

func TestAFileThatIsNotThereNeedsNoRemoval(t *testing.T) {
	if err := kubeconfig.Remove(filepath.Join(t.TempDir(), "config"), ours.Name); err != nil {
		t.Error(err)
	}
}

func load(t *testing.T, path string) *api.Config {
	t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}
