package kubernetes

import (
	"encoding/base64"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podrunner/runner/core/internal/job"
)

// TestJobNumber has the ids of the seed's vectors, which took any base64 for an id of the API.
func TestJobNumber(t *testing.T) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, c := range []struct{ name, id, want string }{
		{"of the API", "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMzQ1", "12345"},
		{"of the API, padded", "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMw==", "123"},
		{"of the API, padding left out", "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMw", "123"},
		{"one digit", "1", "1"},
		{"base64 of something", "12", "12"},
		{"base64 of something that is no text", "1234", "1234"},
		{"no base64", "12345", "12345"},
		{"a word", "job-1", "job-1"},
		{"of another service", encode("gid://other/Runners::JobRun/7"), encode("gid://other/Runners::JobRun/7")},
		{"of another kind", encode("gid://opslevel/Service/7"), encode("gid://opslevel/Service/7")},
		{"the prefix alone", encode(gidPrefix), encode(gidPrefix)},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := jobNumber(c.id); got != c.want {
				t.Errorf("jobNumber(%q) = %q, want %q", c.id, got, c.want)
			}
		})
	}
}

var awkwardIDs = map[string]string{
	"plain":         "1",
	"upper case":    "Build-42",
	"underscores":   "__a__b__",
	"padded":        "Z2lkOi8vb3BzbGV2ZWwvUnVubmVyczo6Sm9iUnVuLzEyMw==",
	"empty":         "",
	"1 KiB":         strings.Repeat("x", 1<<10),
	"dashes":        strings.Repeat("-", 100),
	"cut at a dash": strings.Repeat("a", 35) + strings.Repeat("-", 30),
	"slashes":       "a/b/c",
	"dots":          "..a..",
	"not ASCII":     "Jöb №1 " + strings.Repeat("é", 60),
	"not UTF-8":     "a\xffb",
}

func TestObjectName(t *testing.T) {
	seen := map[string]string{}
	for name, id := range awkwardIDs {
		t.Run(name, func(t *testing.T) {
			got := objectName("source", id)
			if len(got) > maxLabel {
				t.Errorf("%q has %d bytes", got, len(got))
			}
			for _, wrong := range validation.IsDNS1123Label(got) {
				t.Errorf("%q: %s", got, wrong)
			}
			if !strings.HasPrefix(got, appName+"-") {
				t.Errorf("%q does not begin with %q", got, appName)
			}
			if other, ok := seen[got]; ok {
				t.Errorf("%q and %q have the same name", id, other)
			}
			seen[got] = id
			if objectName("source", id) != got {
				t.Error("the name of a job changes")
			}
			if objectName("other", id) == got {
				t.Error("the job of another source has the same name")
			}
		})
	}
	if got, want := objectName("source", "Build_42"), "opslevel-job-build-42-"; !strings.HasPrefix(got, want) {
		t.Errorf("%q does not begin with %q: people look for the number", got, want)
	}
	// Where one ends and the other begins makes a difference.
	if objectName("a", "b1") == objectName("ab", "1") {
		t.Error("source and id run together")
	}
}

func TestLabels(t *testing.T) {
	for name, id := range awkwardIDs {
		t.Run(name, func(t *testing.T) {
			settings := defaults()
			settings.Labels = map[string]string{"team": "platform", labelName: "not this"}
			o := objectsOf(&job.Job{ID: id, Variables: []job.Variable{
				{Key: "ACCOUNT_ID", Value: id}, {Key: "JOB_TYPE", Value: "_" + id + "_"},
			}}, settings)
			o.runner, o.mode = id, id
			labels := o.labels()
			for key, value := range labels {
				for _, wrong := range validation.IsValidLabelValue(value) {
					t.Errorf("label %s=%q: %s", key, value, wrong)
				}
				for _, wrong := range validation.IsQualifiedName(key) {
					t.Errorf("label %q: %s", key, wrong)
				}
			}
			if labels[labelName] != appName || labels["team"] != "platform" || labels[labelInstance] != o.name {
				t.Errorf("labels are %v", labels)
			}
			for long, short := range shortLabels {
				if labels[long] != labels[short] {
					t.Errorf("%s=%q, %s=%q", long, labels[long], short, labels[short])
				}
			}
		})
	}
}

func TestLabelsOfVariables(t *testing.T) {
	plain := func(key, value string) job.Variable { return job.Variable{Key: key, Value: value} }
	sensitive := func(key, value string) job.Variable { return job.Variable{Key: key, Value: value, Sensitive: true} }
	for _, c := range []struct {
		name      string
		variables []job.Variable
		want      string
	}{
		{"none", nil, ""},
		{"one", []job.Variable{plain("ACCOUNT_ID", "17")}, "17"},
		{"the last one counts", []job.Variable{plain("ACCOUNT_ID", "17"), plain("ACCOUNT_ID", "18")}, "18"},
		{"sensitive", []job.Variable{sensitive("ACCOUNT_ID", "17")}, ""},
		{"sensitive in the end", []job.Variable{plain("ACCOUNT_ID", "17"), sensitive("ACCOUNT_ID", "18")}, ""},
		{"with a sensitive value in it", []job.Variable{plain("ACCOUNT_ID", "a-hunter2-b"), sensitive("PASSWORD", "hunter2")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			labels := objectsOf(&job.Job{ID: "1", Variables: c.variables}, defaults()).labels()
			if got, there := labels[labelAccountID]; got != c.want || there != (c.want != "") {
				t.Errorf("the label is %q, want %q", got, c.want)
			}
		})
	}
}
