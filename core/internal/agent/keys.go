package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Keys is the key pair of one job, PEM: a certificate that signs itself, and its private key. Both ends of a connection
// present it, and accept nothing else.
type Keys struct{ Certificate, Private []byte }

// NewKeys makes the keys of a job.
func NewKeys() (Keys, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Keys{}, fmt.Errorf("make a key: %w", err)
	}
	// What the certificate says is never looked at: it is compared as a whole. So the times, on which the clocks of two
	// machines may not agree, are any.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "runner job"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<35, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return Keys{}, fmt.Errorf("make a certificate: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Keys{}, fmt.Errorf("encode a key: %w", err)
	}
	return Keys{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		Private:     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

// tls returns the configuration of either end.
func (k Keys) tls() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(k.Certificate, k.Private)
	if err != nil {
		return nil, fmt.Errorf("read the key pair of the job: %w", err)
	}
	own := pair.Certificate[0]
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAnyClientCert,
		// The check is ours, and stricter. It is made for every connection, also a resumed one.
		InsecureSkipVerify:     true, //nolint:gosec // VerifyConnection compares the certificate with the only good one
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) != 1 || !bytes.Equal(s.PeerCertificates[0].Raw, own) {
				return errors.New("the other end does not have the certificate of this job")
			}
			return nil
		},
	}, nil
}
