package policy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/podrunner/runner/sdk/mask/policy"
)

// BenchmarkSelect is what the values of a job cost when it begins, and how many texts they make.
func BenchmarkSelect(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var ten []policy.Secret
	for i := range 10 {
		ten = append(ten, policy.Secret{Key: fmt.Sprint("K", i), Value: []byte(made("LLL9LLLL/LLLLL+LLLLLLLL9LLL=", random))})
	}
	var key, lines bytes.Buffer
	for range 26 {
		fmt.Fprintln(&key, made("LLLL9LLLLLLLLLLL/LLLLLLLLLLLLLLL+LLLLLLLLLLLLLLLLLLLLLLLLLLL9LLL", random))
	}
	for range 1000 {
		fmt.Fprintln(&lines, made("LLLL9LLLLLLLLLLL/LLLLLLLLLLLLLLL+LLLLLLLLLLLLLLLLLLLLLLLLLLLLLL", random))
	}
	for _, c := range []struct {
		name    string
		secrets []policy.Secret
	}{
		{"ten tokens", ten},
		{"a private key", []policy.Secret{{Key: "K", Value: key.Bytes()}}},
		{"a thousand lines", []policy.Secret{{Key: "K", Value: lines.Bytes()}}},
		{"64 KiB of quotes", []policy.Secret{{Key: "K", Value: bytes.Repeat([]byte(`<"'\>&$;`), policy.MaxValueBytes/8)}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var s *policy.Selection
			for b.Loop() {
				var err error
				if s, err = policy.Select(c.secrets, policy.Options{MinLength: policy.DefaultMinLength}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(s.Texts)), "forms")
			b.ReportMetric(float64(bytesOf(s)), "form-bytes")
		})
	}
}
