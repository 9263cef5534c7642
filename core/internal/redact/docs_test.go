package redact_test

import (
	"os"
	"strings"
	"testing"

	"github.com/podrunner/runner/sdk/mask/forms"
)

// TestDocs: the page on security has all forms, in their order.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(page)
	for _, kind := range forms.Encodings() {
		_, after, ok := strings.Cut(rest, "| `"+kind.String()+"` |")
		if !ok {
			t.Fatalf("docs/security.md does not have %s, or not in its place", kind)
		}
		rest = after
	}
}
