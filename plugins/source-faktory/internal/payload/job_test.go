package payload

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func legacy(name string) bool { return name == "legacy" }

func TestIDs(t *testing.T) {
	cases := []struct{ name, custom, argument, want string }{
		{"a text", `"abc"`, `"x"`, "abc"},
		{"a number", `4213371`, `"x"`, "4213371"},
		{"a number with a fraction", `12.9`, `"x"`, "12"},
		{"a negative one", `-12.9`, `"x"`, "-12"},
		{"an exponent", `1e3`, `"x"`, "1000"},
		{"more digits than a float has", `9007199254740993`, `"x"`, "9007199254740993"},
		{"null", `null`, `"x"`, "x"},
		{"an empty text", `""`, `"x"`, "x"},
		{"no id at all", `null`, `null`, "jid-one-1"},
		{"too large", `1e300`, `"x"`, "custom.opslevel-runner-job-id: it is a number too large for an id"},
		{"true", `true`, `"x"`, "custom.opslevel-runner-job-id: it is true or false; it has to be a text or a number"},
		{"an object", `{"a":1}`, `"x"`, "custom.opslevel-runner-job-id: it is an object; it has to be a text or a number"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			job, err := Parse([]byte(`{"jid":"jid-one-1","jobtype":"legacy","args":[{"id":`+c.argument+`}],"custom":{"opslevel-runner-job-id":`+c.custom+`}}`), legacy)
			got := job.ID
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAttemptsAndReservations(t *testing.T) {
	cases := []struct {
		name, fields string
		attempt      int
		retried      bool
		reserved     time.Duration
	}{
		{"the defaults", ``, 1, true, 1800 * time.Second},
		{"no retry", `,"retry":0`, 1, false, 1800 * time.Second},
		{"to the dead", `,"retry":-1`, 1, false, 1800 * time.Second},
		{"the first of one retry", `,"retry":1`, 1, true, 1800 * time.Second},
		{"the retry", `,"retry":1,"failure":{"retry_count":0,"remaining":1}`, 2, false, 1800 * time.Second},
		{"one of two", `,"retry":2,"failure":{"retry_count":0,"remaining":2}`, 2, true, 1800 * time.Second},
		{"the last of two", `,"retry":2,"failure":{"retry_count":1,"remaining":1}`, 3, false, 1800 * time.Second},
		{"a short reservation", `,"reserve_for":5`, 1, true, 60 * time.Second},
		{"a long one", `,"reserve_for":100000`, 1, true, 24 * time.Hour},
		{"a negative one", `,"reserve_for":-1`, 1, true, 60 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			job, err := Parse([]byte(`{"jid":"j","jobtype":"legacy","args":[{}]`+c.fields+`}`), legacy)
			if err != nil || job.Attempt != c.attempt || job.Retried != c.retried || job.ReserveFor != c.reserved {
				t.Errorf("%+v, %v", job, err)
			}
		})
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	cases := []struct{ name, raw, jid, want string }{
		{"no JSON", `{"jid":"j"`, "", "the job can't be read as JSON"},
		{"args that are no list", `{"jid":"j","args":{}}`, "j", "the job.args is an object; it has to be a list"},
		{"a batch with a line end", `{"jid":"j","jobtype":"legacy","args":[{}],"custom":{"bid":"a\r\nFLUSH"}}`, "j", "custom.bid holds a space or a control character; it has to be the id of a batch"},
		{"a file", `{"jid":"j","jobtype":"legacy","args":[{"files":[{"name":1}]}]}`, "j", "args[0].files.name is a number; it has to be a text"},
		{"a custom file", `{"jid":"j","jobtype":"legacy","args":[{}],"custom":{"opslevel-runner-files":[{"name":true}]}}`, "j", "custom.opslevel-runner-files.name is true or false; it has to be a text"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			job, err := Parse([]byte(c.raw), legacy)
			if err == nil || err.Error() != c.want || job.JID != c.jid {
				t.Errorf("%q, jid %q", err, job.JID)
			}
		})
	}
}

// canary stands for what must never be in a message.
const canary = "topsecret"

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"jid":"j","jobtype":"legacy","args":[]}`,
		`{"jid":"j","jobtype":"legacy","args":["topsecret"]}`,
		`{"jid":"j","jobtype":"legacy","args":[{"id":"1","IMAGE":"i","commands":["c"],"variables":[{"key":"k","value":"topsecret","scope":"init"}],"files":null}],"retry":0,"failure":{"retry_count":3},"reserve_for":60,"custom":{"bid":"b","opslevel-runner-job-id":1.5,"opslevel-runner-commands":["topsecret"],"opslevel-runner-extra-vars":[{"key":"a","sensitive":true}],"opslevel-runner-files":[{"name":"n","contents":"c"}]}}`,
		`{"jid":"j","jobtype":"legacy","args":[{"variables":"topsecret"}],"custom":{"opslevel-runner-job-id":["topsecret"]}}`,
		`{"jid":1,"args":[null]}`, `null`, `[]`, `{"custom":{"opslevel-runner-job-id":-0e5}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		job, err := Parse(raw, legacy)
		if job == nil {
			t.Fatal("there is no job")
		}
		if err == nil {
			if job.Attempt < 1 || job.ReserveFor < 60*time.Second || job.ReserveFor > 24*time.Hour || strings.ContainsAny(job.BID, " \r\n") {
				t.Errorf("%+v", job)
			}
			return
		}
		// The name of a type is shown, and it comes from whoever pushes the job.
		var e struct {
			Type string `json:"jobtype"`
		}
		_ = json.Unmarshal(raw, &e)
		if strings.Contains(err.Error(), canary) && !strings.Contains(e.Type, canary) {
			t.Errorf("the message shows a value: %v", err)
		}
	})
}
