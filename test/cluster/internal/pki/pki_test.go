package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/podrunner/runner/test/cluster/internal/pki"
)

func TestWhatTheAuthorityIssuesIsGoodForServersAndClients(t *testing.T) {
	dir := t.TempDir()
	authority, err := pki.NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	identity := pki.Identity{User: "node", Groups: []string{"nodes"}, Names: []string{"localhost"}, IPs: []net.IP{net.IPv4(10, 88, 0, 1)}}
	if err := authority.Issue("node", identity); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no authority", err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		for _, host := range []string{"localhost", "10.88.0.1"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if s := pair.Leaf.Subject; s.CommonName != "node" || len(s.Organization) != 1 || s.Organization[0] != "nodes" {
		t.Errorf("the subject is %v", s)
	}
	key, err := os.Stat(filepath.Join(dir, "node.key"))
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("others can read the key: %v, %v", key.Mode(), err)
	}
}
