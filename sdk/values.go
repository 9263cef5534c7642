package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Bytes is a size in a configuration: in runner.hcl a number of bytes, or a text such as "31KiB" or "1MB".
type Bytes int64

// mask stands for a sensitive text of any length.
const mask = "**********"

// Sensitive is a text in a configuration that must not be shown. Whatever prints it (package fmt, a logger, a JSON
// encoder) prints asterisks. The zero Sensitive is the empty text.
type Sensitive struct {
	// text is a pointer because package fmt looks into unexported fields of structs without asking their methods; it
	// then prints an address.
	text *string
}

// NewSensitive returns text as a Sensitive.
func NewSensitive(text string) Sensitive { return Sensitive{text: &text} }

// Reveal returns the text itself.
func (s Sensitive) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns asterisks.
func (Sensitive) String() string { return mask }

// GoString returns asterisks.
func (Sensitive) GoString() string { return mask }

// Format prints asterisks for every verb.
func (Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText returns asterisks.
func (Sensitive) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue returns asterisks.
func (Sensitive) LogValue() slog.Value { return slog.StringValue(mask) }

// Secret is a sensitive variable of a job. Whatever prints it prints asterisks for the value; Value itself prints as it
// is.
type Secret struct {
	Key   string
	Value []byte
}

// String returns the key and asterisks.
func (s Secret) String() string { return s.Key + "=" + mask }

// Format prints the key and asterisks for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON returns the key and asterisks.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue returns the key and asterisks.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
