package kubernetes

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podrunner/runner/core/internal/job"
)

func TestWhatGoesIntoTheSecret(t *testing.T) {
	always := []string{"agent.crt", "agent.key", "env-init", "env-job", "variables"}
	key := "-----BEGIN KEY-----\nfirst line of it\nsecond line of it\n-----END KEY-----\n"
	for _, c := range []struct {
		name string
		edit func(*job.Job)
		// secret are the keys beside those that are always there.
		secret []string
	}{
		{"nothing sensitive", func(*job.Job) {}, nil},
		{"a command", func(j *job.Job) { j.Commands = []string{"login hunter2"} }, []string{"script-job"}},
		{"an init command", func(j *job.Job) { j.InitCommands = []string{"true", "xhunter2x"} }, []string{"script-init"}},
		{"a file", func(j *job.Job) { j.Files[1].Contents = []byte("\xff password=hunter2") }, []string{"file-1"}},
		{"several", func(j *job.Job) {
			j.Commands, j.InitCommands = []string{"hunter2"}, []string{"hunter2"}
			j.Files[0].Contents = []byte("hunter2")
		}, []string{"file-0", "script-init", "script-job"}},
		{"a variable of the other step", func(j *job.Job) {
			j.Variables = append(j.Variables, job.Variable{Key: "X", Value: "initsecret", Sensitive: true, Scope: job.ScopeInit})
			j.Commands = []string{"echo initsecret"}
		}, []string{"script-job"}},
		{"a value that a later one hides", func(j *job.Job) {
			j.Variables = append(j.Variables, job.Variable{Key: "PASSWORD", Value: "new"})
			j.Commands = []string{"echo hunter2"}
		}, []string{"script-job"}},
		{"an empty value is in everything", func(j *job.Job) {
			j.Variables = append(j.Variables, job.Variable{Key: "NONE", Sensitive: true})
		}, nil},
		{"a value across commands", func(j *job.Job) {
			j.Variables = append(j.Variables, job.Variable{Key: "X", Value: "one\ntwo", Sensitive: true})
			j.Commands = []string{"cat <<END", "one", "two", "END"}
		}, []string{"script-job"}},
		{"a line of a value", func(j *job.Job) {
			j.Variables = append(j.Variables, job.Variable{Key: "X", Value: key, Sensitive: true})
			j.Commands = []string{"grep 'second line of it' key"}
		}, []string{"script-job"}},
		{"a short line of a value", func(j *job.Job) {
			j.Variables = append(j.Variables, job.Variable{Key: "X", Value: "cat\ndog", Sensitive: true})
			j.Commands = []string{"cat file"}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &job.Job{
				ID: "1", Image: "alpine", Commands: []string{"true"}, InitCommands: []string{"false"},
				Files:     []job.File{{Name: "a", Contents: []byte("1")}, {Name: "b", Contents: []byte{0xff}}},
				Variables: []job.Variable{{Key: "PASSWORD", Value: "hunter2", Sensitive: true}},
			}
			c.edit(j)
			p, err := objectsOf(j, defaults()).payload()
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(slices.Concat(always, c.secret)))
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(p.secret))); diff != "" {
				t.Errorf("the Secret holds (-want +got):\n%s", diff)
			}
			all := []string{"file-0", "file-1", "script-init", "script-job"}
			want = slices.DeleteFunc(all, func(key string) bool { return slices.Contains(c.secret, key) })
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(p.open)), cmpNil); diff != "" {
				t.Errorf("the ConfigMap holds (-want +got):\n%s", diff)
			}
		})
	}
}

// cmpNil takes no slice and an empty one for the same.
var cmpNil = cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })

func TestPayload(t *testing.T) {
	o := objectsOf(&job.Job{
		ID: "1", Image: "alpine", Commands: []string{"a && b > c", "echo \u2028 ü"},
		Files: []job.File{{Name: "text", Contents: []byte("ü\n")}, {Name: "binary", Contents: []byte{0, 0xff}}, {Name: "empty"}},
		Variables: []job.Variable{
			{Key: "A", Value: "1"},
			{Key: "B", Value: "<init>", Scope: job.ScopeInit},
			{Key: "B", Value: "main=x", Scope: job.ScopeMain},
			{Key: "A", Value: "2"},
			{Key: "C", Value: "", Sensitive: true},
		},
	}, defaults())
	p, err := o.payload()
	if err != nil {
		t.Fatal(err)
	}
	var script, env []string
	if err := json.Unmarshal(p.open[scriptKey("job")], &script); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o.job.Commands, script); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if bytes.Contains(p.open[scriptKey("job")], []byte(`\u0026`)) {
		t.Error("the script has grown by escapes")
	}
	if err := json.Unmarshal(p.secret[variablesKey("job")], &env); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=2", "B=main=x", "C="}, env); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if _, there := p.secret[variablesKey("init")]; there {
		t.Error("there are variables for a step that there is not")
	}
	c := o.configMap(p)
	if c.Data["file-0"] != "ü\n" || !bytes.Equal(c.BinaryData["file-1"], []byte{0, 0xff}) {
		t.Errorf("the ConfigMap holds %v and %v", c.Data, c.BinaryData)
	}
	if _, there := c.Data["file-2"]; !there {
		t.Error("an empty file is left out")
	}
	if !*c.Immutable || len(c.OwnerReferences) != 0 {
		t.Error("the ConfigMap can be changed, or is owned")
	}
	s := o.secret(p, "uid")
	if !*s.Immutable || !ownedBy(s.OwnerReferences, "uid") {
		t.Error("the Secret can be changed, or is not owned")
	}
}

func TestVariablesOfScopes(t *testing.T) {
	all := []job.Variable{
		{Key: "X", Value: "both"},
		{Key: "X", Value: "init", Scope: job.ScopeInit},
		{Key: "Y", Value: "main", Scope: job.ScopeMain},
		{Key: "Y", Value: "both"},
	}
	for scope, want := range map[job.Scope][]string{
		job.ScopeInit: {"X=init", "Y=both"}, job.ScopeMain: {"X=both", "Y=both"},
	} {
		if diff := cmp.Diff(want, variables(all, scope)); diff != "" {
			t.Errorf("scope %q (-want +got):\n%s", scope, diff)
		}
	}
}

func TestWhatCannotBeCarried(t *testing.T) {
	large := strings.Repeat("x", maxDataBytes)
	for _, c := range []struct {
		name string
		edit func(*job.Job)
		want string
	}{
		{"large files", func(j *job.Job) { j.Files = []job.File{{Name: "a", Contents: []byte(large)}} }, "a ConfigMap holds 1024 KiB"},
		{"large variables", func(j *job.Job) { j.Variables = []job.Variable{{Key: "A", Value: large}} }, "a Secret holds 1024 KiB"},
		{"large files with a sensitive value", func(j *job.Job) {
			j.Variables = []job.Variable{{Key: "A", Value: "hunter2", Sensitive: true}}
			j.Files = []job.File{{Name: "a", Contents: []byte(large + "hunter2")}}
		}, "a Secret holds 1024 KiB"},
		{"commands not UTF-8", func(j *job.Job) { j.Commands = []string{"a\xff"} }, `the commands of step "job": they are not UTF-8`},
		{"variables not UTF-8", func(j *job.Job) { j.Variables = []job.Variable{{Key: "A", Value: "a\xff"}} }, `the variables of step "job": they are not UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &job.Job{ID: "1", Image: "alpine", Commands: []string{"true"}}
			c.edit(j)
			_, err := objectsOf(j, defaults()).payload()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds a sensitive value")
			}
		})
	}
	// The values count, to the byte; keys do not.
	fits := payload{open: map[string][]byte{"a": make([]byte, maxDataBytes-1), "b": {0}}}
	if err := fits.check(); err != nil {
		t.Error(err)
	}
}
