package kubernetes

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/core/internal/agent"
	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/job"
	"github.com/podrunner/runner/core/internal/record"
)

// maxDataBytes is the most that a ConfigMap or a Secret holds (MaxSecretSize of the API).
const maxDataBytes = 1 << 20

// objects makes the objects of a job:
//
//   - a ConfigMap with the job's commands and files. It owns the others, so that deleting it deletes all;
//   - a Secret with the key pair of the job's helper, the variables of each step, what a runner that takes the job over has to
//     know of them, and those commands and files that hold the value of a sensitive variable;
//   - the Pod (see pod.go). It holds no variable of the job at all: the helper, which alone mounts the Secret, hands each step
//     its variables and commands over a socket.
type objects struct {
	settings config.Kubernetes
	job      *job.Job
	name     string
	mode     string

	runner, instance, pipeline, source string

	keys agent.Keys
}

// Keys of the Secret and the ConfigMap, and the names of the helper's files.
const (
	keyCertificate = "agent.crt"
	keyPrivate     = "agent.key"
	keyVariables   = "variables"
)

func scriptKey(step string) string    { return "script-" + step }
func variablesKey(step string) string { return "env-" + step }
func fileKey(i int) string            { return "file-" + strconv.Itoa(i) }

// step is what a step runs.
type step struct {
	name     string
	image    string
	commands []string
	scope    job.Scope
}

// steps returns the steps of the job in order.
func (o *objects) steps() []step {
	var steps []step
	if len(o.job.InitCommands) > 0 {
		image := o.job.InitImage
		if image == "" {
			image = o.job.Image
		}
		steps = append(steps, step{record.StepInit, image, o.job.InitCommands, job.ScopeInit})
	}
	return append(steps, step{record.StepJob, o.job.Image, o.job.Commands, job.ScopeMain})
}

// payload is what the ConfigMap and the Secret hold.
type payload struct{ open, secret map[string][]byte }

func (o *objects) payload() (payload, error) {
	p := payload{open: map[string][]byte{}, secret: map[string][]byte{
		keyCertificate: o.keys.Certificate, keyPrivate: o.keys.Private,
	}}
	for _, s := range o.steps() {
		script, err := encode(s.commands)
		if err != nil {
			return p, fmt.Errorf("the commands of step %q: %w", s.name, err)
		}
		o.put(p, scriptKey(s.name), script, strings.Join(s.commands, "\n"))
		if p.secret[variablesKey(s.name)], err = encode(variables(o.job.Variables, s.scope)); err != nil {
			return p, fmt.Errorf("the variables of step %q: %w", s.name, err)
		}
	}
	for i, f := range o.job.Files {
		o.put(p, fileKey(i), f.Contents, string(f.Contents))
	}
	var err error
	if p.secret[keyVariables], err = o.noted(p); err != nil {
		return p, err
	}
	return p, p.check()
}

// put puts the data of a text where it may stand: what holds the value of a sensitive variable goes into the Secret.
func (o *objects) put(p payload, key string, data []byte, text string) {
	if holdsSecret(o.job, text) {
		p.secret[key] = data
		return
	}
	p.open[key] = data
}

// minSecretLine is the length, in bytes, from which on a line of a sensitive value is a secret of its own, as it is to the
// processor "sanitize".
const minSecretLine = 8

// holdsSecret tells whether a text holds the value of a sensitive variable, or a line of one that has several.
func holdsSecret(j *job.Job, text string) bool {
	for _, secret := range j.Secrets() {
		if strings.Contains(text, secret.Value) {
			return true
		}
		for line := range strings.Lines(secret.Value) {
			if line = strings.TrimSpace(line); len(line) >= minSecretLine && strings.Contains(text, line) {
				return true
			}
		}
	}
	return false
}

// check says what does not fit.
func (p payload) check() error {
	if n := size(p.open); n > maxDataBytes {
		return fmt.Errorf("commands and files come to %d KiB; a ConfigMap holds %d KiB. Put large data into the image, or let the job fetch it", n>>10, maxDataBytes>>10)
	}
	if n := size(p.secret); n > maxDataBytes {
		return fmt.Errorf("the variables of all steps, and the commands and files that hold sensitive values, come to %d KiB; a Secret holds %d KiB."+
			" Put large data into the image, or let the job fetch it", n>>10, maxDataBytes>>10)
	}
	return nil
}

func size(data map[string][]byte) int {
	n := 0
	for _, value := range data {
		n += len(value)
	}
	return n
}

// encode is json.Marshal without the escapes for HTML: data is not to grow. Texts that are not UTF-8 have no form in JSON.
func encode(texts []string) ([]byte, error) {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("they are not UTF-8, and such text can't be carried; encode it, or put it into a file of the job")
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if texts == nil {
		texts = []string{}
	}
	err := e.Encode(texts)
	return []byte(b.String()), err
}

// variables are those of a scope, "KEY=VALUE", the last one of a name.
func variables(all []job.Variable, scope job.Scope) []string {
	index := map[string]int{}
	var env []string
	for _, v := range all {
		if v.Scope != job.ScopeBoth && v.Scope != scope {
			continue
		}
		if i, ok := index[v.Key]; ok {
			env[i] = v.Key + "=" + v.Value
			continue
		}
		index[v.Key] = len(env)
		env = append(env, v.Key+"="+v.Value)
	}
	return env
}

// meta is the metadata of an object that the owner owns; the owner itself has none.
func (o *objects) meta(owner types.UID) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: o.name, Labels: o.labels()}
	if owner != "" {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: o.name, UID: owner}}
	}
	return m
}

// configMap is the owner.
func (o *objects) configMap(p payload) *corev1.ConfigMap {
	c := &corev1.ConfigMap{ObjectMeta: o.meta(""), Immutable: ptr(true), Data: map[string]string{}, BinaryData: map[string][]byte{}}
	for key, data := range p.open {
		if utf8.Valid(data) {
			c.Data[key] = string(data)
		} else {
			c.BinaryData[key] = data
		}
	}
	return c
}

func (o *objects) secret(p payload, owner types.UID) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: o.meta(owner), Immutable: ptr(true), Type: corev1.SecretTypeOpaque, Data: p.secret}
}

func ptr[T any](v T) *T { return &v }
