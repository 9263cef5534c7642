package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"os"

	"github.com/podrunner/runner/test/cluster/internal/kubeconfig"
	"github.com/podrunner/runner/test/cluster/internal/pki"
)

// users are the clients of the API server, and what their certificates say of them.
var users = map[string]pki.Identity{
	"admin":              {User: "admin", Groups: []string{"system:masters"}},
	"controller-manager": {User: "system:kube-controller-manager"},
	"scheduler":          {User: "system:kube-scheduler"},
	"kubelet":            {User: "system:node:" + nodeName, Groups: []string{"system:nodes"}, IPs: []net.IP{net.ParseIP(nodeIP)}},
}

// credentials makes all keys, certificates and kubeconfig files, once in the life of a cluster.
func (c *Cluster) credentials() error {
	if _, err := os.Stat(c.Kubeconfig()); err == nil {
		return nil
	}
	authority, err := pki.NewAuthority(c.path("pki"))
	if err != nil {
		return err
	}
	err = authority.Issue("apiserver", pki.Identity{
		User: "kube-apiserver",
		Names: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		IPs: []net.IP{net.ParseIP(nodeIP), net.ParseIP("127.0.0.1")},
	})
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := pki.WriteKey(c.key("service-account"), key); err != nil {
		return err
	}
	for user, identity := range users {
		if err := authority.Issue(user, identity); err != nil {
			return err
		}
	}
	// The administrator's comes last: it is what tells that all of this is there.
	for _, user := range []string{"controller-manager", "scheduler", "kubelet", "admin"} {
		entry, err := c.entry(user)
		if err != nil {
			return err
		}
		if err := kubeconfig.Write(c.kubeconfig(user), entry); err != nil {
			return err
		}
	}
	return nil
}

// entry is the cluster as the user sees it.
func (c *Cluster) entry(user string) (kubeconfig.Cluster, error) {
	e := kubeconfig.Cluster{Name: Name, Server: server}
	for path, to := range map[string]*[]byte{
		c.certificate("ca"): &e.Authority, c.certificate(user): &e.Certificate, c.key(user): &e.Key,
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			return e, err
		}
		*to = b
	}
	return e, nil
}
