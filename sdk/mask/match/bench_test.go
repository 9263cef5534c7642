package match_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/podrunner/runner/sdk/mask/match"
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// secrets makes n values as services hand them out.
func secrets(n int) []match.Form {
	r := rand.New(rand.NewPCG(7, 7))
	forms := make([]match.Form, n)
	for i := range forms {
		forms[i].Text = randomText(r, alphanumeric, 12+r.IntN(29))
	}
	return forms
}

var lines = []string{
	"[INFO] --- maven-compiler-plugin:3.8.1:compile (default-compile) @ service-core ---",
	"go: downloading github.com/hashicorp/go-plugin v1.8.0",
	"#12 4.218 Get:27 http://mirror.example/debian bookworm/main amd64 libssl3 amd64 3.0.11-1 [2019 kB]",
	"=== RUN   TestServer/accepts_a_request_with_a_body",
	"npm WARN deprecated har-validator@5.1.5: this library is no longer supported",
	"2026-01-31T23:59:59.123Z INFO  http: request done method=GET path=/api/v1/items/4711 status=200 duration=12.3ms",
	"Step 7/12 : RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl",
	" ---> 8f3d9a1c2b7e",
}

// corpus returns lines of the kind that jobs print, each with secret in it unless that is empty.
func corpus(size int, secret string) (texts [][]byte, total int) {
	r := rand.New(rand.NewPCG(8, 8))
	for total < size {
		text := fmt.Appendf(nil, "%s %s%d", lines[r.IntN(len(lines))], secret, r.IntN(1e6))
		texts = append(texts, text)
		total += len(text)
	}
	return texts, total
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 150, 1000, 10000} {
		forms := secrets(n)
		m := match.New(forms)
		for _, hit := range []string{"", string(forms[n/2].Text)} {
			texts, total := corpus(1<<20, hit)
			b.Run(fmt.Sprintf("forms=%d/hit=%v", n, hit != ""), func(b *testing.B) {
				b.SetBytes(int64(total))
				b.ReportAllocs()
				var spans []match.Span
				for b.Loop() {
					for _, text := range texts {
						spans, _ = m.Find(spans[:0], text, match.Edges{})
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{10, 150, 10000} {
		forms := secrets(n)
		b.Run(fmt.Sprintf("forms=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				match.New(forms)
			}
		})
	}
}
