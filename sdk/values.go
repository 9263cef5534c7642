package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Bytes is a size in a configuration: in runner.hcl a number of bytes, or a text such as "31KiB" or "1MB".
type Bytes int64

// Sensitive is a text in a configuration that must not be shown. Whatever prints it (package fmt, a logger, a JSON
// encoder) prints asterisks; string(s) is the text itself.
type Sensitive string

// mask stands for a sensitive text of any length.
const mask = "**********"

// String returns asterisks.
func (Sensitive) String() string { return mask }

// GoString returns asterisks.
func (Sensitive) GoString() string { return mask }

// Format prints asterisks for every verb: those for which package fmt asks neither String nor GoString, too.
func (Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText returns asterisks.
func (Sensitive) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON returns asterisks.
func (Sensitive) MarshalJSON() ([]byte, error) { return json.Marshal(mask) }

// LogValue returns asterisks.
func (Sensitive) LogValue() slog.Value { return slog.StringValue(mask) }
