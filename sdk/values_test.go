package sdk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// TestSensitiveIsNeverShown prints a sensitive value in every way that prints.
func TestSensitiveIsNeverShown(t *testing.T) {
	const secret = "hunter2"
	type config struct {
		Token   Sensitive
		Tokens  map[string]Sensitive
		token   Sensitive
		Secrets []Secret
	}
	token := NewSensitive(secret)
	c := config{
		Token: token, Tokens: map[string]Sensitive{"a": token}, token: token,
		Secrets: []Secret{{Key: "TOKEN", Value: []byte(secret)}},
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s"} {
		fmt.Fprintf(&out, verb+"\n", c.Token)
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", &c)
		fmt.Fprintf(&out, verb+"\n", c.Secrets)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "token", c.Token, "config", c)
	}
	for _, asJSON := range []bool{false, true} {
		hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: asJSON}).Info("x", "token", c.Token, "config", c)
	}
	fmt.Fprint(&out, c.Token, c.Token.String(), c.Token.GoString())
	text := strings.ToLower(out.String())
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), "104 117 110", base64.StdEncoding.EncodeToString([]byte(secret))} {
		if strings.Contains(text, strings.ToLower(form)) {
			t.Errorf("the value is shown as %s:\n%s", form, text)
		}
	}
	if c.token.Reveal() != secret {
		t.Error("the value is not to be had")
	}
}
