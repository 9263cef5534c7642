// Package jobfile reads the file of a job that is to be pushed: YAML, or JSON, which is YAML too.
//
// Its errors are for the person who wrote the file: each names the file, the line and the column.
package jobfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/contribsys/faktory/client"
	"go.yaml.in/yaml/v3"
)

// Job is what a file says.
type Job struct {
	// Job has no jid and no time of creation yet.
	client.Job
	// Batch is the batch to push the job into, empty for none.
	Batch string
	// ExpiresIn is how long after its creation the job is thrown away; 0: never.
	ExpiresIn time.Duration
}

// MaxBytes bounds a file.
const MaxBytes = 16 << 20

// Parse reads a file. The error may be several, one a line.
func Parse(name string, data []byte) (*Job, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s: the file is larger than %d MiB", name, MaxBytes>>20)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file is empty; a job has at least a type and args", name)
	} else if err != nil {
		return nil, syntaxError(name, err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, fmt.Errorf("%s:%d:%d: a file holds one job; put each into a file of its own", name, more.Line, more.Column)
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(name, err)
	}
	r := &reader{name: name}
	r.read(document.Content[0])
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	return &r.job, nil
}

// syntaxError is what the YAML parser says, with its line where ours stands.
func syntaxError(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
		_, text, _ = strings.Cut(text, ": ")
		return fmt.Errorf("%s:%d:1: not YAML: %s", name, line, text)
	}
	return fmt.Errorf("%s: not YAML: %s", name, text)
}

// reader reads a file into job.
type reader struct {
	name     string
	job      Job
	custom   map[string]any
	problems []error
}

func (r *reader) fail(at *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s:%d:%d: %s", r.name, at.Line, at.Column, fmt.Sprintf(format, args...)))
}

// key takes the value of one key of the file.
type key struct {
	name string
	// alias is the other spelling, empty for none.
	alias string
	take  func(r *reader, value *yaml.Node)
}

// keys are those that a file may have.
var keys = []key{
	{"type", "", func(r *reader, v *yaml.Node) { r.job.Type = r.text(v, "type") }},
	{"queue", "", func(r *reader, v *yaml.Node) { r.job.Queue = r.text(v, "queue") }},
	{"args", "", (*reader).args},
	{"at", "", (*reader).at},
	{"retries", "", (*reader).retries},
	{"backtrace", "", func(r *reader, v *yaml.Node) { r.job.Backtrace = r.number(v, "backtrace", 0, 1<<20) }},
	{"reserve_for", "reservefor", func(r *reader, v *yaml.Node) { r.job.ReserveFor = r.number(v, "reserve_for", 0, maxReserve) }},
	{"unique_for", "uniquefor", (*reader).uniqueFor},
	{"unique_until", "uniqueuntil", (*reader).uniqueUntil},
	{"expires_in", "expiresin", func(r *reader, v *yaml.Node) {
		r.job.ExpiresIn = time.Duration(r.number(v, "expires_in", 0, maxSeconds)) * time.Second
	}},
	{"custom", "", (*reader).customKeys},
	{"batch", "", func(r *reader, v *yaml.Node) { r.job.Batch = r.text(v, "batch") }},
}

// Bounds, in seconds: maxReserve is the server's, maxSeconds keeps a time in its range.
const (
	maxReserve = 86400
	maxSeconds = 1 << 31
)

func (r *reader) read(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		r.fail(root, "a job is a mapping with the keys %s", strings.Join(names(), ", "))
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		name, value := root.Content[i], root.Content[i+1]
		k := find(name.Value)
		switch {
		case k == nil:
			r.fail(name, "unknown key %q.%s The keys of a job are %s.", name.Value, hint(name.Value), strings.Join(names(), ", "))
		case seen[k.name] != nil:
			r.fail(name, "%q is given already, at line %d", k.name, seen[k.name].Line)
		default:
			seen[k.name] = name
			if value = resolve(value); value.Tag != "!!null" {
				k.take(r, value)
			}
		}
	}
	if r.job.Type == "" && len(r.problems) == 0 {
		r.fail(root, `"type" is missing; a job that a runner is to take has the type "legacy"`)
	}
	if r.job.Args == nil && len(r.problems) == 0 {
		r.fail(root, `"args" is missing; it is a list, for a runner with the job as its only element`)
	}
	if len(r.custom) > 0 && r.job.Custom == nil {
		r.job.Custom = map[string]any{}
	}
	maps.Copy(r.job.Custom, r.custom)
}

func find(name string) *key {
	for i := range keys {
		if keys[i].name == name || keys[i].alias == name && name != "" {
			return &keys[i]
		}
	}
	return nil
}

// resolve follows an alias.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
