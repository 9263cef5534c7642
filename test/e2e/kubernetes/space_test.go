package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// appLabel selects what core makes.
const appLabel = "app.kubernetes.io/name=opslevel-job"

// space is a namespace of a test, with an account that has core's rights and no others.
type space struct {
	t    *testing.T
	name string
	// server is where core finds the API server.
	server string
	token  string
}

// newSpace makes a namespace, which goes with the test. Nothing of core's may be left in it by then.
func newSpace(t *testing.T, labels map[string]string) *space {
	t.Helper()
	ctx := t.Context()
	ns, err := admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &space{t: t, name: ns.Name, server: access.Host}
	t.Cleanup(func() {
		s.nothingLeft()
		if err := admin.CoreV1().Namespaces().Delete(context.Background(), s.name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	s.token = s.account("runner", "kubernetes.md", "role")
	s.awaitDefaultAccount()
	return s
}

// account makes an account with the Role that a page tells operators to give core, and returns its token.
func (s *space) account(name, page, part string) (token string) {
	s.t.Helper()
	ctx := s.t.Context()
	var role rbacv1.Role
	s.decodeRole(page, part, &role)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, accountErr := admin.CoreV1().ServiceAccounts(s.name).Create(ctx, account, metav1.CreateOptions{})
	_, roleErr := admin.RbacV1().Roles(s.name).Create(ctx, &role, metav1.CreateOptions{})
	_, bindErr := admin.RbacV1().RoleBindings(s.name).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: account.Name, Namespace: s.name}},
	}, metav1.CreateOptions{})
	made, tokenErr := admin.CoreV1().ServiceAccounts(s.name).CreateToken(ctx, account.Name, &authv1.TokenRequest{}, metav1.CreateOptions{})
	s.must(errors.Join(accountErr, roleErr, bindErr, tokenErr))
	return made.Status.Token
}

// decodeRole reads the Role that a page of the documentation tells operators to give core.
func (s *space) decodeRole(page, part string, into *rbacv1.Role) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	s.must(err)
	_, after, found := strings.Cut(string(text), "<!-- begin "+part+" ")
	_, after, inBlock := strings.Cut(after, "```yaml\n")
	role, _, ends := strings.Cut(after, "```")
	if !found || !inBlock || !ends {
		s.t.Fatalf("docs/%s has no Role", page)
	}
	s.must(yaml.UnmarshalStrict([]byte(role), into))
}

// awaitDefaultAccount waits for the account that pods of a new namespace need.
func (s *space) awaitDefaultAccount() {
	s.t.Helper()
	w, err := admin.CoreV1().ServiceAccounts(s.name).Watch(s.t.Context(), metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", "default").String(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Stop()
	select {
	case <-w.ResultChan():
	case <-time.After(30 * time.Second):
		s.t.Fatal("the namespace has no service account")
	}
}

// kubeconfig writes the kubeconfig of core's account.
func (s *space) kubeconfig() string {
	s.t.Helper()
	config := api.NewConfig()
	cluster, user, c := api.NewCluster(), api.NewAuthInfo(), api.NewContext()
	cluster.Server, cluster.CertificateAuthorityData = s.server, access.CAData
	if len(access.CAData) == 0 && access.CAFile != "" {
		data, err := os.ReadFile(access.CAFile)
		if err != nil {
			s.t.Fatal(err)
		}
		cluster.CertificateAuthorityData = data
	}
	if s.server != access.Host {
		cluster.TLSServerName = hostOf(access.Host)
	}
	user.Token = s.token
	c.Cluster, c.AuthInfo, c.Namespace = "c", "u", s.name
	config.Clusters["c"], config.AuthInfos["u"], config.Contexts["x"], config.CurrentContext = cluster, user, c, "x"
	path := filepath.Join(s.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// small is what jobs of tests ask for: many fit a node.
const small = `
  resources = {
    requests = { cpu = "20m", memory = "32Mi", "ephemeral-storage" = "8Mi" }
    limits   = { cpu = "1", memory = "256Mi", "ephemeral-storage" = "256Mi" }
  }
`

// config writes a runner.hcl with settings for the block kubernetes, which may be given more than once: the last one counts.
func (s *space) config(settings string) string {
	s.t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "runner {\n  plugin_dir = %q\n}\nkubernetes {\n  start_timeout = \"60s\"\n%s}\n", filepath.Join(root, "bin", "plugins"), small)
	fmt.Fprintf(&b, "pipeline \"default\" {\n  executor = \"kubernetes\"\n  kubernetes {\n%s\n  }\n  processor \"outcome\" {}\n  processor \"sanitize\" {}\n}\n", settings)
	return s.write("runner.hcl", b.String())
}

func (s *space) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// nothingLeft fails the test when anything that core made is there, but for what is on its way out.
func (s *space) nothingLeft() {
	s.t.Helper()
	if s.t.Failed() {
		s.describe()
	}
	ctx := context.Background()
	options := metav1.ListOptions{LabelSelector: appLabel}
	var left []string
	if pods, err := admin.CoreV1().Pods(s.name).List(ctx, options); err != nil {
		s.t.Error(err)
	} else {
		for _, p := range pods.Items {
			left = append(left, "pod "+p.Name)
		}
	}
	if maps, err := admin.CoreV1().ConfigMaps(s.name).List(ctx, options); err != nil {
		s.t.Error(err)
	} else {
		for _, m := range maps.Items {
			left = append(left, "ConfigMap "+m.Name)
		}
	}
	if secrets, err := admin.CoreV1().Secrets(s.name).List(ctx, options); err != nil {
		s.t.Error(err)
	} else {
		for _, m := range secrets.Items {
			left = append(left, "Secret "+m.Name)
		}
	}
	if len(left) > 0 {
		s.t.Errorf("core has left %s", strings.Join(left, ", "))
	}
}

// describe prints the events of the namespace, for people who look into a failure.
func (s *space) describe() {
	events, err := admin.CoreV1().Events(s.name).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, e := range events.Items {
		if e.Type != corev1.EventTypeWarning {
			continue
		}
		s.t.Logf("event %s/%s: %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
}

// pod waits for a job's pod that is as it should be.
func (s *space) pod(good func(*corev1.Pod) bool) *corev1.Pod {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	w, err := admin.CoreV1().Pods(s.name).Watch(ctx, metav1.ListOptions{LabelSelector: appLabel})
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if pod, ok := event.Object.(*corev1.Pod); ok && event.Type != watch.Deleted && good(pod) {
			return pod
		}
	}
	s.t.Fatal("there is no such pod")
	return nil
}

// anyPod is the job's pod, whatever it does.
func (s *space) anyPod() *corev1.Pod {
	s.t.Helper()
	return s.pod(func(*corev1.Pod) bool { return true })
}

// forceDelete deletes a pod without asking its node.
func (s *space) forceDelete(pod *corev1.Pod) {
	s.t.Helper()
	now := int64(0)
	err := admin.CoreV1().Pods(s.name).Delete(s.t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
}
