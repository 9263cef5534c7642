package jobfile

import (
	"encoding/json"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// text reads a text. A number or a truth value is taken as it is written.
func (r *reader) text(v *yaml.Node, name string) string {
	if v.Kind != yaml.ScalarNode {
		r.fail(v, "%q has to be a text", name)
		return ""
	}
	return v.Value
}

// number reads a whole number from least to most.
func (r *reader) number(v *yaml.Node, name string, least, most int) int {
	var n int
	if v.Kind != yaml.ScalarNode || v.Tag != "!!int" || v.Decode(&n) != nil || n < least || n > most {
		r.fail(v, "%q has to be a whole number from %d to %d", name, least, most)
		return 0
	}
	return n
}

// maxRetries is far beyond what a job lives through: the twenty-fifth retry comes after three weeks.
const maxRetries = 1000

// retries: 0 and -1 are told apart from no retries given, which gives the server's default.
func (r *reader) retries(v *yaml.Node) {
	n := r.number(v, "retries", -1, maxRetries)
	r.job.Retry = &n
}

func (r *reader) at(v *yaml.Node) {
	text := r.text(v, "at")
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		r.fail(v, `"at" has to be a time such as 2026-12-31T23:59:59Z`)
		return
	}
	r.job.At = text
}

func (r *reader) uniqueFor(v *yaml.Node) {
	if n := r.number(v, "unique_for", 0, maxSeconds); n > 0 {
		r.setCustom("unique_for", n)
	}
}

func (r *reader) uniqueUntil(v *yaml.Node) {
	text := r.text(v, "unique_until")
	if text != "success" && text != "start" {
		r.fail(v, `"unique_until" has to be "success" or "start"`)
		return
	}
	r.setCustom("unique_until", text)
}

// setCustom keeps a custom key that comes from a key of its own, which goes before one in "custom".
func (r *reader) setCustom(name string, value any) {
	if r.custom == nil {
		r.custom = map[string]any{}
	}
	r.custom[name] = value
}

func (r *reader) args(v *yaml.Node) {
	if v.Kind != yaml.SequenceNode {
		r.fail(v, `"args" has to be a list`)
		return
	}
	args := []any{}
	for i, element := range v.Content {
		if value, ok := r.value(element, fmt.Sprintf("args[%d]", i)); ok {
			args = append(args, value)
		}
	}
	r.job.Args = args
}

func (r *reader) customKeys(v *yaml.Node) {
	if v.Kind != yaml.MappingNode {
		r.fail(v, `"custom" has to be a mapping`)
		return
	}
	value, ok := r.value(v, "custom")
	if keys, isMap := value.(map[string]any); ok && isMap {
		r.job.Custom = keys
	}
}

// value reads anything that JSON can hold.
func (r *reader) value(v *yaml.Node, name string) (any, bool) {
	var value any
	if err := v.Decode(&value); err != nil {
		r.fail(v, "%s can't be read: it has a key twice, or an alias of too much", name)
		return nil, false
	}
	value = plain(value)
	if _, err := json.Marshal(value); err != nil {
		r.fail(v, "%s holds something that JSON can't hold, such as a key that is no text or a number without end", name)
		return nil, false
	}
	return value, true
}

// plain writes the times that YAML finds in unquoted texts as JSON would.
func plain(value any) any {
	switch v := value.(type) {
	case time.Time:
		if v.Equal(v.Truncate(24*time.Hour)) && v.Location() == time.UTC {
			return v.Format(time.DateOnly)
		}
		return v.Format(time.RFC3339Nano)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return value
}
