// Package kubeconfig puts a cluster into the kubeconfig file that kubectl and every other client read, and takes it
// out again.
package kubeconfig

import (
	"errors"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Cluster is how to reach a cluster. All of it is inside the file: no path has to stay where it is.
type Cluster struct {
	Name        string // of the context, the cluster and the user alike
	Server      string // URL
	Authority   []byte // PEM
	Certificate []byte // PEM
	Key         []byte // PEM
}

// Write writes a file that knows just this cluster, readable by its owner only.
func Write(path string, c Cluster) error {
	config := api.NewConfig()
	c.addTo(config)
	return clientcmd.WriteToFile(*config, path)
}

func (c Cluster) addTo(config *api.Config) {
	cluster, user, context := api.NewCluster(), api.NewAuthInfo(), api.NewContext()
	cluster.Server, cluster.CertificateAuthorityData = c.Server, c.Authority
	user.ClientCertificateData, user.ClientKeyData = c.Certificate, c.Key
	context.Cluster, context.AuthInfo = c.Name, c.Name
	config.Clusters[c.Name], config.AuthInfos[c.Name], config.Contexts[c.Name] = cluster, user, context
	config.CurrentContext = c.Name
}

// Default is the file that clients write to: the first one of $KUBECONFIG, or ~/.kube/config.
func Default() string {
	return clientcmd.NewDefaultPathOptions().GetDefaultFilename()
}

// Merge adds the cluster to a file, which may not exist yet, and makes its context the current one. Everything else
// stays.
func Merge(path string, c Cluster) error {
	config, err := load(path)
	if err != nil {
		return err
	}
	c.addTo(config)
	return modify(path, *config)
}

// Remove takes the cluster out of a file. A file with nothing left in it is removed.
func Remove(path, name string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	config, err := load(path)
	if err != nil {
		return err
	}
	delete(config.Clusters, name)
	delete(config.AuthInfos, name)
	delete(config.Contexts, name)
	if config.CurrentContext == name {
		config.CurrentContext = ""
	}
	if len(config.Clusters)+len(config.AuthInfos)+len(config.Contexts) == 0 {
		return os.Remove(path)
	}
	return modify(path, *config)
}

func load(path string) (*api.Config, error) {
	config, err := clientcmd.LoadFromFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return api.NewConfig(), nil
	}
	return config, err
}

// modify writes through the client's own code, which keeps to its lock file.
func modify(path string, config api.Config) error {
	options := clientcmd.NewDefaultPathOptions()
	options.LoadingRules.ExplicitPath = path
	return clientcmd.ModifyConfig(options, config, true)
}
