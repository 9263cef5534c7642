package main

import (
	"bytes"
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// TestWrite: what is printed is a pool of certificates for Go, of all authorities that are trusted without conditions.
func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	want := x509.NewCertPool()
	n := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		want.AddCert(certificate)
		n++
	}
	got := x509.NewCertPool()
	if !got.AppendCertsFromPEM(out.Bytes()) || !got.Equal(want) {
		t.Error("the certificates are not those of the bundle")
	}
	if n < 100 {
		t.Errorf("there are %d certificates", n)
	}
}
