package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters:
  - {name: c, cluster: {server: "http://127.0.0.1:1"}}
users:
  - {name: u, user: {}}
contexts:
  - {name: one, context: {cluster: c, user: u, namespace: first}}
  - {name: two, context: {cluster: c, user: u}}
`

func TestFindAccess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, context, namespace string
		want, wantErr            string
	}{
		{name: "the current context", want: "first"},
		{name: "another context", context: "two", want: "default"},
		{name: "another namespace", namespace: "jobs", want: "jobs"},
		{name: "a context that there is not", context: "three", wantErr: `use the context "three" of the kubeconfig`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := defaults()
			s.Kubeconfig, s.Context, s.Namespace = path, c.context, c.namespace
			a, err := findAccess(s, hclog.NewNullLogger())
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.namespace != c.want || a.inCluster || a.config.QPS != 50 || a.config.Burst != 100 || a.config.Timeout != 0 {
				t.Errorf("namespace %q, in the cluster %v, %v", a.namespace, a.inCluster, a.config)
			}
		})
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := findAccess(defaults(), hclog.NewNullLogger())
	if err == nil || !strings.Contains(err.Error(), "no cluster") || !strings.Contains(err.Error(), "KUBECONFIG") {
		t.Errorf("error %v: want what to do", err)
	}
	s := defaults()
	s.Kubeconfig = filepath.Join(t.TempDir(), "none")
	if _, err := findAccess(s, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "read the kubeconfig") {
		t.Errorf("error %v", err)
	}
}

// TestKlogIsQuiet: what client-go says goes to core's log, which takes sensitive values out, and nowhere else; errors, too.
func TestKlogIsQuiet(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	defer func() { os.Stderr = stderr }()
	var log bytes.Buffer
	quietKlog(hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug}))
	klog.ErrorS(errors.New("it is away"), "no lease")
	klog.Flush()
	_ = write.Close()
	if said, err := io.ReadAll(read); err != nil || len(said) > 0 {
		t.Errorf("on standard error there is %q, %v", said, err)
	}
	quietKlog(hclog.NewNullLogger())
	if text := log.String(); !strings.Contains(text, "[DEBUG] client-go:") || !strings.Contains(text, "it is away") {
		t.Errorf("the log is %q", text)
	}
}

func TestExplain(t *testing.T) {
	a := &access{config: &rest.Config{Host: "https://x"}, where: `context "one"`}
	for want, err := range map[string]error{
		"does not accept core's credentials": apierrors.NewUnauthorized("x"),
		"docs/kubernetes.md has the Role":    apierrors.NewForbidden(podResource, "", errors.New("no")),
		"can't be reached":                   &url.Error{Op: "Get", URL: "https://x", Err: errors.New("connection refused")},
		"can't be reached: context deadline": context.DeadlineExceeded,
		"ask the cluster":                    apierrors.NewInternalError(errors.New("x")),
	} {
		if got := a.explain(err); !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("%v is explained as %v, want %q", err, got, want)
		}
	}
}
