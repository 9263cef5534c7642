package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/contribsys/faktory/client"
	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/sdktest"
)

// simple is the argument of a small job.
func simple(id string) map[string]any {
	return map[string]any{"id": id, "image": "alpine", "commands": []string{"true"}}
}

func on(queue string) func(*client.Job) { return func(j *client.Job) { j.Queue = queue } }

// argumentOf is the object that a follow-up job is about.
func argumentOf(job *client.Job) map[string]any {
	argument, _ := job.Args[0].(map[string]any)
	return argument
}

func TestRealJob(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	jid := server.push(func(j *client.Job) {
		j.ReserveFor = 600
		j.SetCustom("opslevel-runner-job-id", 9007199254740993) // more digits than a float has
		j.SetCustom("opslevel-runner-image", "alpine:edge")
		j.SetCustom("opslevel-runner-commands", []string{"echo more"})
		j.SetCustom("opslevel-runner-extra-vars", []map[string]any{{"key": "E", "value": "1", "sensitive": true, "scope": "main"}})
		j.SetCustom("opslevel-runner-files", []map[string]any{{"name": "f", "contents": "text"}})
		j.SetCustom("other", 1)
	}, map[string]any{"IMAGE": "alpine", "commands": []string{"true"}, "initCommands": []string{"echo init"}, "unknown": 1}, "further")
	source := run(t, server.url(), sdktest.SourceOptions{}, nil)
	source.Status(true)
	offer := source.Offer()
	if left := time.Until(offer.Deadline); left > 570*time.Second || left < 550*time.Second {
		t.Errorf("the job has to be over in %s", left)
	}
	want := sdk.Offer{
		Key: sdk.JobKey{ID: "9007199254740992", Attempt: 1}, Image: "alpine:edge", Commands: []string{"true", "echo more"}, InitCommands: []string{"echo init"},
		Variables: []sdk.JobVariable{{Key: "E", Value: "1", Sensitive: true, Scope: "main"}, {Key: "RUNNER_JOB_ID", Value: "9007199254740992"}},
		Files:     []sdk.JobFile{{Name: "f", Contents: []byte("text")}},
		Handle:    offer.Handle, Deadline: offer.Deadline,
	}
	if d := cmp.Diff(want, offer); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	_, err := source.AppendLogs(t.Context(), logsOf(offer, 1, "one", "\xff\x00"))
	must(t, err)
	must(t, source.Report(t.Context(), success(offer)))
	eventually(t, "the job is acknowledged", func() bool { return server.state().Sets["working"] == 0 })
	ups := server.followUps(2)
	if ups[0].Type != typeLog || ups[1].Type != typeOutcome || *ups[0].Retry != 25 {
		t.Errorf("the follow-up jobs are %+v, %+v", ups[0], ups[1])
	}
	argument := argumentOf(ups[0])
	if d := cmp.Diff([]any{"b25l", "/wA="}, argument["logChunk"]); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
	if ups[0].Jid != followUpID(typeLog, handle{JID: jid, Attempt: 1}, 1) {
		t.Errorf("the jid of the log is %s", ups[0].Jid)
	}
	if d := cmp.Diff(map[string]any{"runnerId": "faktory", "runnerJobId": "9007199254740992", "outcome": "success"}, ups[1].Args[0]); d != "" {
		t.Errorf("outcome (-want +got):\n%s", d)
	}
}

func TestRealQueuesInStrictOrder(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for i := range 3 {
		server.push(on("low"), simple(fmt.Sprintf("low-%d", i)))
		server.push(on("high"), simple(fmt.Sprintf("high-%d", i)))
	}
	source := run(t, server.url(), sdktest.SourceOptions{}, map[string]any{"queues": []string{"high,low"}})
	var got []string
	for range 6 {
		offer := source.Offer()
		got = append(got, offer.Key.ID)
		must(t, source.Report(t.Context(), success(offer)))
	}
	if d := cmp.Diff([]string{"high-0", "high-1", "high-2", "low-0", "low-1", "low-2"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRealQueuesWithWeights(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	const n = 60
	for i := range n {
		server.push(on("low"), simple(fmt.Sprintf("low-%d", i)))
		server.push(on("high"), simple(fmt.Sprintf("high-%d", i)))
	}
	source := run(t, server.url(), sdktest.SourceOptions{}, map[string]any{"queues": []string{"high=4", "low"}})
	high := 0
	for range n {
		offer := source.Offer()
		if strings.HasPrefix(offer.Key.ID, "high") {
			high++
		}
		must(t, source.Report(t.Context(), success(offer)))
	}
	// 48 are expected, with a deviation of 3.
	if high < 33 || high > 59 {
		t.Errorf("%d of %d jobs come from the queue that is four times as heavy", high, n)
	}
}

func TestRealPasswordAndTLS(t *testing.T) {
	t.Parallel()
	server := startServer(t, func(s *realServer) {
		s.password, s.scheme = "p@ss/word", "tcp+tls"
		certificate(t, s.dir)
	})
	server.push(nil, simple("a"))
	source := run(t, server.url(), sdktest.SourceOptions{}, map[string]any{"ca_file": filepath.Join(server.dir, "public.cert.pem")})
	offer := source.Offer()
	must(t, source.Report(t.Context(), success(offer)))

	wrong := run(t, "tcp+tls://:another@"+server.address, sdktest.SourceOptions{}, map[string]any{"ca_file": filepath.Join(server.dir, "public.cert.pem")})
	if status := wrong.Status(false); !strings.Contains(status.Message, "Invalid password") || strings.Contains(status.Message, "another") {
		t.Errorf("with a wrong password: %s", status.Message)
	}
	unknown := run(t, server.url(), sdktest.SourceOptions{}, nil)
	if status := unknown.Status(false); !strings.Contains(status.Message, "certificate") || strings.Contains(status.Message, "ss/word") {
		t.Errorf("with an unknown certificate: %s", status.Message)
	}
}

// certificate writes a certificate and its key to where a server looks for them.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write := func(name, kind string, data []byte) {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600))
	}
	write("public.cert.pem", "CERTIFICATE", der)
	write("private.key.pem", "PRIVATE KEY", private)
}

func TestRealPoisonedJobs(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	type object = map[string]any
	poisons := []struct {
		name, message string
		change        func(*client.Job)
		args          []any
	}{
		{"no args", "args is empty; its first element has to be the job", nil, nil},
		{"a text", "args[0] is a text; it has to be the job", nil, []any{"topsecret"}},
		{"null", "args[0] is null; it has to be the job", nil, []any{nil}},
		{"a number for a text", "args[0].image is a number; it has to be a text", nil, []any{object{"image": 424242}}},
		{"a number for an id", "args[0].id is a number; it has to be a text", nil, []any{object{"id": 424242}}},
		{"a text for a list", "args[0].commands is a text; it has to be a list", nil, []any{object{"commands": "topsecret"}}},
		{"in a variable", "args[0].variables.sensitive is a text; it has to be true or false", nil, []any{object{"variables": []object{{"key": "topsecret", "sensitive": "topsecret"}}}}},
		{"the custom id", "custom.opslevel-runner-job-id: it is a list; it has to be a text or a number", func(j *client.Job) { j.SetCustom("opslevel-runner-job-id", []int{1}) }, []any{simple("x")}},
		{"the custom image", "custom.opslevel-runner-image is a number; it has to be a text", func(j *client.Job) { j.SetCustom("opslevel-runner-image", 1) }, []any{simple("x")}},
		{"another type", "No handler registered for job type other", func(j *client.Job) { j.Type = "other" }, []any{simple("x")}},
		{"13 MB", "the job's texts have", nil, []any{object{"files": []object{{"name": "f", "contents": strings.Repeat("topsecret", 13<<20/9)}}}}},
	}
	for _, p := range poisons {
		server.push(p.change, p.args...)
	}
	large := strings.Repeat("x", 5<<20)
	server.push(nil, object{"image": "alpine", "commands": []string{"true"}, "files": []object{{"name": "f", "contents": large}}})
	begin := time.Now()
	source := run(t, server.url(), sdktest.SourceOptions{}, nil)
	offer := source.Offer()
	// One pause of 30 s, as there used to be after a job that can't be read, would show; 25 MB on a busy machine do not.
	if took := time.Since(begin); took > 28*time.Second {
		t.Errorf("the good job behind the bad ones came after %s", took)
	}
	if len(offer.Files) != 1 || string(offer.Files[0].Contents) != large {
		t.Error("the file of 5 MB is another one")
	}
	must(t, source.Report(t.Context(), success(offer)))
	for _, p := range poisons {
		server.retriesSay(p.message)
	}
	page := string(server.get("/retries?count=100"))
	for _, message := range strings.Split(page, "\n") {
		if strings.Contains(message, "it has to be") && (strings.Contains(message, "topsecret") || strings.Contains(message, "424242")) {
			t.Errorf("a message shows a value: %s", message)
		}
	}
	if state := server.state(); state.Sets["retries"] != uint64(len(poisons)) || state.Sets["working"] != 0 {
		t.Errorf("the sets are %v", state.Sets)
	}
}

func TestRealQuietAndTerminate(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	made := make(chan *source, 1)
	p := tuned(func(s *source) {
		s.beat = 100 * time.Millisecond
		made <- s
	})
	server.push(nil, simple("a"))
	r := sdktest.Source(t, p, sdktest.SourceOptions{Config: map[string]any{"url": server.url()}, Concurrency: 2})
	wid := (<-made).pool.Worker().WID
	offer := r.Offer()
	server.signal(wid, "quiet")
	time.Sleep(2500 * time.Millisecond) // a heartbeat, and the end of the fetch that is under way
	server.push(nil, simple("b"))
	r.NoOffer(time.Second)
	_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "goes on"))
	must(t, err)
	must(t, r.Report(t.Context(), success(offer)))
	r.NoOffer(time.Second)
	server.signal(wid, "terminate")
	if message := r.Drained(); !strings.Contains(message, "Faktory wants this worker to end") {
		t.Errorf("the message is %q", message)
	}
	server.followUps(2)
}

func TestRealServerDies(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	server.push(nil, simple("a"))
	r := run(t, server.url(), sdktest.SourceOptions{Concurrency: 2}, nil)
	r.Status(true)
	offer := r.Offer()
	server.stop(syscall.SIGKILL)
	if status := r.Status(false); !strings.Contains(status.Message, "Faktory at") && !strings.Contains(status.Message, "EOF") && !strings.Contains(status.Message, "reset") {
		t.Errorf("the message is %q", status.Message)
	}
	if _, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "lost?")); err == nil {
		t.Error("lines are taken while the server is away")
	}
	eventually(t, "the failure is counted", func() bool { return r.Counters()[countFailed] == 1 })
	server.start()
	r.Status(true)
	_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "lost?"))
	must(t, err)
	must(t, r.Report(t.Context(), success(offer)))
	server.followUps(2)
	if state := server.state(); state.Sets["working"] != 0 {
		t.Errorf("the sets are %v", state.Sets)
	}
	server.push(nil, simple("b"))
	next := r.Offer()
	must(t, r.Report(t.Context(), success(next)))
}

func TestRealJobsThatCouldNotBeRun(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	retries := func(n int) func(*client.Job) { return func(j *client.Job) { j.Retry = &n } }
	server.push(retries(2), simple("again"))
	server.push(retries(0), simple("gone"))
	server.push(retries(-1), simple("dead"))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	for range 3 {
		must(t, r.Report(t.Context(), notRun(r.Offer())))
	}
	server.retriesSay("the quota is used up")
	state := server.state()
	if state.Sets["retries"] != 1 || state.Sets["dead"] != 1 || state.Sets["working"] != 0 {
		t.Errorf("the sets are %v", state.Sets)
	}
	for i, up := range server.followUps(2) {
		argument := argumentOf(up)
		if argument["runnerJobId"] != []string{"gone", "dead"}[i] || argument["outcome"] != "failed" {
			t.Errorf("the outcome is %v", argument)
		}
	}
	acking := run(t, server.url(), sdktest.SourceOptions{}, map[string]any{"infrastructure": "ack", "queues": []string{"other"}})
	server.push(on("other"), simple("acked"))
	must(t, acking.Report(t.Context(), notRun(acking.Offer())))
	server.followUps(1)
	if state := server.state(); state.Sets["retries"] != 1 || state.Sets["working"] != 0 {
		t.Errorf("with ack, the sets are %v", state.Sets)
	}
}

func TestRealBatchOnAServerWithout(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	server.push(func(j *client.Job) { j.SetCustom("bid", "b-1") }, simple("a"))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	offer := r.Offer()
	_, err := r.AppendLogs(t.Context(), logsOf(offer, 1, "x"))
	must(t, err)
	must(t, r.Report(t.Context(), success(offer)))
	for _, up := range server.followUps(2) {
		if up.Custom != nil {
			t.Errorf("a follow-up job has %v", up.Custom)
		}
	}
}

func TestRealReleasedJobs(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	server.push(nil, simple("retried"))
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	r.Release(r.Offer(), false, "the runner ends")
	server.retriesSay("the runner ends")
	// A job that Faktory would throw away comes again, whole.
	server.push(func(j *client.Job) { j.Retry = new(int) }, simple("ephemeral"))
	r.Release(r.Offer(), false, "the runner ends")
	again := r.Offer()
	if again.Key.ID != "ephemeral" || again.Image != "alpine" {
		t.Errorf("offered again: %+v", again)
	}
	must(t, r.Report(t.Context(), success(again)))
	if state := server.state(); state.Sets["working"] != 0 {
		t.Errorf("the sets are %v", state.Sets)
	}
}

func TestRealJobOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	server.push(nil, simple("a"))
	first := run(t, server.url(), sdktest.SourceOptions{}, nil)
	offer := first.Offer()
	first.Break()
	second := run(t, server.url(), sdktest.SourceOptions{Running: []sdk.JobKey{offer.Key}}, nil)
	_, err := second.AppendLogs(t.Context(), logsOf(offer, 7, "goes on"))
	must(t, err)
	resumed, known, err := second.Resume(t.Context(), offer.Key, offer.Handle)
	must(t, err)
	if !known || resumed.Deadline.Sub(offer.Deadline).Abs() > time.Second {
		t.Errorf("known: %v, deadline %s, want %s", known, resumed.Deadline, offer.Deadline)
	}
	must(t, second.Report(t.Context(), success(offer)))
	server.followUps(2)
	if state := server.state(); state.Sets["working"] != 0 || state.Sets["retries"] != 0 {
		t.Errorf("the sets are %v", state.Sets)
	}
}

func TestRealDrainLosesNothing(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	time.Sleep(500 * time.Millisecond) // within the first fetch
	begin := time.Now()
	r.Drain()
	server.push(nil, simple("late"))
	offer := r.Offer() // under the claim that was open
	must(t, r.Report(context.Background(), success(offer)))
	r.Close()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the end took %s", took)
	}
	if err := r.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestRealEnqueue(t *testing.T) {
	t.Parallel()
	server := startServer(t, func(s *realServer) { s.password = "x" })
	code, stdout, stderr := enqueueWith(t, server.url(), "type: legacy\nargs: [{image: alpine, commands: [a]}]\ncustom: {opslevel-runner-job-id: 7}\n", "--count", "50")
	if code != 0 || strings.Count(stdout, "\n") != 50 {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	r := run(t, server.url(), sdktest.SourceOptions{}, nil)
	for n := range 50 {
		offer := r.Offer()
		if want := fmt.Sprintf("7-%d", n+1); offer.Key.ID != want {
			t.Errorf("job %s comes where %s is due", offer.Key.ID, want)
		}
		must(t, r.Report(t.Context(), success(offer)))
	}
}
