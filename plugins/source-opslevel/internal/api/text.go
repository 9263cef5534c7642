package api

import (
	"bytes"
	"encoding/json"
)

// text is a string that may also come as a number, a boolean or null: ids have been seen to, and one such field is no
// reason to lose a job.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case bytes.Equal(data, []byte("null")):
		*t = ""
	case len(data) > 0 && (data[0] == '"' || data[0] == '{' || data[0] == '['):
		return json.Unmarshal(data, (*string)(t))
	default:
		*t = text(data)
	}
	return nil
}

func stringsOf(list []text) []string {
	if list == nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, string(x))
	}
	return out
}
