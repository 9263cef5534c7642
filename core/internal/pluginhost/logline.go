package pluginhost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
)

// logLine is what a plugin says in one line of its standard error.
type logLine struct {
	level   hclog.Level
	message string
	fields  []any // key, value, key, value, …, sorted by key
	// structured: it came as JSON; any other text may belong to a crash report.
	structured bool
}

// parseLogLine understands three forms: JSON as hclog writes it (and, by its most common names, as slog and zap do),
// text that begins with a level in brackets, and any other text. Nothing is an error: a plugin may write what it
// likes, in any type. Every text goes through redact once it is decoded, so that no escape hides a secret.
func parseLogLine(line []byte, redact func([]byte) []byte) logLine {
	line = bytes.TrimRight(line, "\r")
	if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && trimmed[0] == '{' {
		if parsed, ok := parseJSONLine(trimmed, redact); ok {
			return parsed
		}
	}
	text := string(redact(line))
	level := hclog.Info
	for _, tag := range levelTags {
		if rest, ok := strings.CutPrefix(text, tag.text); ok {
			text, level = strings.TrimLeft(rest, " "), tag.level
			break
		}
	}
	return logLine{level: level, message: printable(text)}
}

var levelTags = []struct {
	text  string
	level hclog.Level
}{
	{"[TRACE]", hclog.Trace}, {"[DEBUG]", hclog.Debug}, {"[INFO]", hclog.Info}, {"[WARN]", hclog.Warn}, {"[ERROR]", hclog.Error},
}

func parseJSONLine(line []byte, redact func([]byte) []byte) (logLine, bool) {
	var raw map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&raw); err != nil || decoder.More() {
		return logLine{}, false
	}
	out := logLine{level: hclog.Info, structured: true}
	if level, ok := take(raw, "@level", "level").(string); ok {
		if known := hclog.LevelFromString(level); known != hclog.NoLevel && known != hclog.Off {
			out.level = known
		}
	}
	if message := take(raw, "@message", "msg", "message"); message != nil {
		out.message = text(message, redact)
	}
	// Our log has a time of its own; one that is none stays as a field.
	for _, name := range []string{"@timestamp", "time"} {
		if stamp, ok := raw[name].(string); ok {
			if _, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
				delete(raw, name)
			}
		}
	}
	for _, key := range sortedKeys(raw) {
		name := strings.TrimPrefix(key, "@")
		out.fields = append(out.fields, fieldName(string(redact([]byte(name)))), text(raw[key], redact))
	}
	return out, true
}

// take removes the first of the names that there is, and returns its value.
func take(raw map[string]any, names ...string) any {
	for _, name := range names {
		if value, ok := raw[name]; ok {
			delete(raw, name)
			return value
		}
	}
	return nil
}

// text returns a decoded JSON value for people: a string as it is, anything else as JSON.
func text(value any, redact func([]byte) []byte) string {
	if s, ok := value.(string); ok {
		return printable(string(redact([]byte(s))))
	}
	out, err := json.Marshal(redactAll(value, redact))
	if err != nil { // can't be: it was decoded from JSON
		return fmt.Sprintf("(%v)", err)
	}
	return printable(string(redact(out)))
}

// redactAll redacts the strings inside a decoded JSON value.
func redactAll(value any, redact func([]byte) []byte) any {
	switch v := value.(type) {
	case string:
		return string(redact([]byte(v)))
	case []any:
		for i := range v {
			v[i] = redactAll(v[i], redact)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			out[string(redact([]byte(key)))] = redactAll(element, redact)
		}
		return out
	default:
		return v
	}
}

// printable makes a text safe to show on one line: a control character, which could move a terminal's cursor or forge a
// line of the log, is shown as its escape sequence; bytes that are no UTF-8, as U+FFFD.
func printable(s string) string {
	clean := true
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || !unicode.IsControl(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// fieldName makes a key safe to stand before an equals sign.
func fieldName(key string) string {
	return strings.Map(func(r rune) rune {
		if r == '=' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return '_'
		}
		return r
	}, key)
}

// beginsCrash reports whether a line begins the report that Go's runtime writes when a program crashes.
func beginsCrash(line []byte) bool {
	return bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
}
