package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestExampleJob: a pod makes of the example what this machine does.
func TestExampleJob(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	example := filepath.Join(root, "examples", "job.yaml")
	run := func(executor string) (lines []string, variables any) {
		args := []string{"test", "-f", example, "-c", s.config(""), "--executor", executor, "--output", "json"}
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "bin", "core"), args...)
		cmd.Env = append(cmd.Environ(), "KUBECONFIG="+s.kubeconfig())
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", executor, err, out)
		}
		if strings.Contains(string(out), "World!") {
			t.Errorf("%s: the secret was printed", executor)
		}
		for line := range strings.Lines(string(out)) {
			var e event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			switch e.Event {
			case "log":
				// The shells of the two differ in how they quote what they trace.
				lines = append(lines, e.Stream+" "+strings.ReplaceAll(e.Line, "'", ""))
			case "result":
				variables = e.Variables
			}
		}
		return lines, variables
	}
	lines, variables := run("local")
	podLines, podVariables := run("kubernetes")
	if diff := cmp.Diff(split(lines), split(podLines)); diff != "" {
		t.Errorf("local and pod differ (-local +pod):\n%s", diff)
	}
	if diff := cmp.Diff(variables, podVariables); diff != "" {
		t.Errorf("local and pod differ (-local +pod):\n%s", diff)
	}
}

// split puts the lines of one stream behind those of the other: their order is that of two pipes.
func split(lines []string) []string {
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:6], b[:6]) })
	return lines
}

// TestWhatTheJobSees: files, folders, variables, one shell, both steps.
func TestWhatTheJobSees(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job(
		[]string{
			"set +x", "pwd", "cat from-init", "cd /tmp", "A=1", "pwd; echo $A$B", "cat /opslevel/a-file; ls -lL /opslevel/a-file | cut -c1-10",
			"echo init=$INIT_ONLY main=$MAIN_ONLY both=$BOTH last=$TWICE dollar=$DOLLAR", "id -u", "test -e /var/run/secrets || echo no token",
			"touch /opslevel/x 2>/dev/null || echo read-only", "ls /run/runner", "sleep 0.2; echo '::set-outcome-var a=b'",
		},
		"initCommands:\n  - set +x\n  - echo from init > from-init\n  - echo init=$INIT_ONLY main=$MAIN_ONLY\n  - ls /run/runner",
		`files: [{name: a-file, contents: "in it\n"}]`,
		`variables:
  - {key: INIT_ONLY, value: i, scope: init}
  - {key: MAIN_ONLY, value: main-value, scope: main, sensitive: true}
  - {key: BOTH, value: b}
  - {key: TWICE, value: first}
  - {key: TWICE, value: second}
  - {key: DOLLAR, value: "$(BOTH) $$ $HOME"}`,
	), "")
	r.want("success", "")
	var init, main []string
	for _, e := range r.log {
		if e.Step == "init" {
			init = append(init, e.Line)
		} else {
			main = append(main, e.Line)
		}
	}
	if diff := cmp.Diff([]string{"init=i main=", "step"}, init); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"/jobs/1", "from init", "/tmp", "1", "in it", "-rwxrwxrwx", "init= main=********** both=b last=second dollar=$(BOTH) $$ $HOME", "0",
		"no token", "read-only", "step",
	}
	if diff := cmp.Diff(want, main); diff != "" {
		t.Error(diff)
	}
	if len(r.Variables) != 1 || r.Variables[0].Key != "a" || r.Variables[0].Value != "b" {
		t.Errorf("the variables are %v", r.Variables)
	}
}

// TestSecrets greps all that the cluster can show for the values of a job, and the kubelet's logs for its output.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	const secret, canary = "s3cr3t-VALUE-0815", "a line that only the job prints"
	c := s.start(job(
		[]string{"echo " + secret, "echo $TOKEN", "cat /opslevel/credentials", "echo " + canary, "echo ready", "read x < /dev/zero || true; sleep 1000"},
		"initCommands: ['echo "+canary+" too']",
		"variables: [{key: TOKEN, value: "+secret+", sensitive: true}, {key: ACCOUNT_ID, value: "+secret+", sensitive: true}]",
		"files: [{name: credentials, contents: 'password: "+secret+"'}, {name: plain, contents: open}]",
	), "grace = \"1s\"")
	c.line("ready")
	pod := s.pod(func(p *corev1.Pod) bool {
		started := 0
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Waiting == nil {
				started++
			}
		}
		return started == 3
	})
	maps, err := admin.CoreV1().ConfigMaps(s.name).List(t.Context(), metav1.ListOptions{LabelSelector: appLabel})
	if err != nil {
		t.Fatal(err)
	}
	events, err := admin.CoreV1().Events(s.name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, object := range map[string]any{"pod": pod, "ConfigMaps": maps, "events": events} {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret) {
			t.Errorf("%s: the secret is in it: %s", name, text)
		}
	}
	if len(maps.Items) != 1 || len(maps.Items[0].Data) == 0 {
		t.Errorf("what is no secret belongs into the ConfigMap: %v", maps.Items)
	}
	if pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
		t.Error("the pod gets a service account's token")
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.ServiceAccountToken != nil {
					t.Errorf("volume %s has a token", v.Name)
				}
			}
		}
	}
	for _, container := range pod.Spec.Containers {
		stream, err := admin.CoreV1().Pods(s.name).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(stream)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), canary) || strings.Contains(string(text), secret) || strings.Contains(string(text), "ready") {
			t.Errorf("the kubelet has output of the job in the log of container %q: %s", container.Name, text)
		}
		if container.Name != "helper" && len(text) > 0 {
			t.Errorf("container %q has a log: %s", container.Name, text)
		}
	}
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r := c.finish()
	r.want("canceled", "canceled")
	if strings.Contains(r.stdout+r.stderr, secret) {
		t.Error("core has printed the secret")
	}
	if !slices.Contains(r.lines(), canary+" too") {
		t.Errorf("the init step's output is missing: %q", r.lines())
	}
}

// TestExitCodes: codes and signals come through as they are.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	for _, c := range []struct {
		command string
		code    int
	}{
		{"exit 0", 0},
		{"exit 1", 1},
		{"exit 2", 2},
		{"exit 42", 42},
		{"exit 125", 125},
		{"exit 126", 126},
		{"exit 127", 127},
		{"exit 128", 128},
		{"exit 200", 200},
		{"exit 255", 255},
		{"nosuchcommand", 127},
		{"kill -TERM $$", 143},
		{"kill -KILL $$", 137},
		{"kill -SEGV $$", 139},
		{"kill -HUP $$", 129},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			r := (&space{t: t, name: s.name, server: s.server, token: s.token}).run(job([]string{c.command}), "")
			if c.code == 0 {
				r.want("success", "")
			} else {
				r.want("failed", "exit")
				if r.code != 1 {
					t.Errorf("core ends with %d", r.code)
				}
			}
			if r.ExitCode == nil || *r.ExitCode != c.code {
				t.Errorf("the exit code is %v, want %d", r.ExitCode, c.code)
			}
		})
	}
}

// TestOddJobs: jobs that print or do what jobs should not.
func TestOddJobs(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	var many strings.Builder
	many.WriteString("variables:\n")
	for i := range 5000 {
		fmt.Fprintf(&many, "  - {key: VARIABLE_%d, value: value-%04d, sensitive: %v}\n", i, i, i%2 == 0)
	}
	long := make([]string, 0, 3000)
	for range 3000 {
		long = append(long, ": "+strings.Repeat("x", 100))
	}
	for _, c := range []struct {
		name     string
		commands []string
		more     string
		last     string
	}{
		{"5,000 variables", []string{"set +x", "echo $(env | grep -c ^VARIABLE_) $VARIABLE_4999"}, many.String(), "5000 value-4999"},
		{"script of 300 KiB", append(append([]string{"set +x"}, long...), "echo end"), "", "end"},
		{"line of 1 MiB", []string{"head -c 1048576 /dev/zero | tr '\\0' x; echo", "echo end"}, "", "end"},
		{"binary output", []string{"head -c 100000 /dev/urandom; echo", "echo end"}, "", "end"},
		{"closes stdout and goes on", []string{"set +x", "exec 3>&1 >&- 2>&-", "sleep 1", "echo end >&3"}, "", "end"},
		{"forks a daemon", []string{"set +x", "(setsid sleep 1000 >/dev/null 2>&1 &)", "echo end"}, "", "end"},
		{"no newline at the end", []string{"set +x", "printf end"}, "", "end"},
		{"here-document", []string{"set +x", "cat <<X", "end", "X"}, "", "end"},
		{"quick exit", []string{"true"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := (&space{t: t, name: s.name, server: s.server, token: s.token}).run(job(c.commands, c.more), "")
			r.want("success", "")
			if lines := r.lines(); c.last != "" && (len(lines) == 0 || lines[len(lines)-1] != c.last) {
				t.Errorf("the log ends with %.200q, want %q", lines[max(0, len(lines)-1):], c.last)
			}
		})
	}
}

// TestCancel: the tail of the log is shipped, whatever the job makes of TERM.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	for name, c := range map[string]struct {
		commands []string
		last     string
	}{
		"heeds TERM":   {[]string{"trap 'echo last words; exit 3' TERM", "echo ready", "while :; do sleep 0.1; done"}, "last words"},
		"ignores TERM": {[]string{"trap 'echo no' TERM", "echo ready", "while :; do sleep 0.1 || true; done"}, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := (&space{t: t, name: s.name, server: s.server, token: s.token}).start(job(c.commands), `grace = "2s"`)
			run.line("ready")
			if err := run.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			r := run.finish()
			r.want("canceled", "canceled")
			if !slices.Contains(r.lines(), c.last) || r.code != 1 {
				t.Errorf("exit code %d, log %q", r.code, r.lines())
			}
		})
	}
}

// TestCancelWhileWaiting: a pod that no node takes is gone at once.
func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	run := s.start(job([]string{"true"}), `node_selector = { "e2e/nowhere" = "true" }`)
	run.await("status Unschedulable", func(e event) bool { return e.Reason == "Unschedulable" })
	begun := time.Now()
	if err := run.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	run.finish().want("canceled", "canceled")
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("that took %s", took)
	}
}

// TestKeep leaves the pod and says how to look at it.
func TestKeep(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(job([]string{"echo kept"}), "", "--keep")
	r.want("success", "")
	pod := s.anyPod()
	if !strings.Contains(r.stderr, "kubectl -n "+s.name+" describe pod "+pod.Name) {
		t.Errorf("core does not say how to look at the pod:\n%s", r.stderr)
	}
	// What core says removes all: the ConfigMap owns the rest.
	if err := admin.CoreV1().ConfigMaps(s.name).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitNothing()
}

// awaitNothing waits until the garbage collector has removed what the owner owned.
func (s *space) awaitNothing() {
	s.t.Helper()
	w, err := admin.CoreV1().Pods(s.name).Watch(s.t.Context(), metav1.ListOptions{LabelSelector: appLabel})
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Stop()
	timeout := time.After(limit)
	for {
		select {
		case e := <-w.ResultChan():
			if e.Type == "DELETED" {
				return
			}
		case <-timeout:
			s.t.Fatal("the pod is still there")
		}
	}
}
