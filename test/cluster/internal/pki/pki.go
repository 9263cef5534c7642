// Package pki makes the keys and certificates of a cluster: one authority, and what it vouches for.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is that of a test cluster many times over.
const lifetime = 365 * 24 * time.Hour

// Authority signs certificates and writes them into a folder, as NAME.crt and NAME.key.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Identity is what a certificate says of its holder: a user and groups for a client, addresses for a server.
type Identity struct {
	User   string
	Groups []string
	Names  []string
	IPs    []net.IP
}

// NewAuthority makes an authority and writes it into dir as ca.crt and ca.key.
func NewAuthority(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "runner-cluster"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	var err error
	if a.key, err = a.sign("ca", template); err != nil {
		return nil, err
	}
	a.cert = template
	return a, nil
}

// Issue writes a key and a certificate, good for a client and for a server.
func (a *Authority) Issue(name string, id Identity) error {
	_, err := a.sign(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.User, Organization: id.Groups},
		DNSNames:    id.Names,
		IPAddresses: id.IPs,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
	return err
}

// sign completes the template, and signs it: with the authority's key, or with its own when there is none yet.
func (a *Authority) sign(name string, template *x509.Certificate) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	// An hour back, for a machine whose clock is set while the cluster runs.
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(lifetime)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate %q: %w", name, err)
	}
	if err := WriteKey(filepath.Join(a.dir, name+".key"), key); err != nil {
		return nil, err
	}
	return key, os.WriteFile(filepath.Join(a.dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// WriteKey writes a private key that only its owner can read.
func WriteKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
