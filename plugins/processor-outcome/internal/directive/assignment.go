package directive

import "bytes"

// Assignment is a line of an outcome file: KEY=VALUE or, when Delimited, KEY<<DELIMITER. What it holds shares the line's
// memory. The key has not been looked at but for that it may be cut after MaxKeyBytes+1 bytes; so may the delimiter after
// MaxDelimiterBytes+1.
type Assignment struct {
	Key       []byte
	Value     []byte
	Delimited bool
	Delimiter []byte
}

// Assign parses a line of an outcome file, without a CR at its end. Whichever of "=" and "<<" comes first decides. ok is
// false when there is neither.
func Assign(line []byte) (a Assignment, ok bool) {
	equals, mark := bytes.IndexByte(line, '='), bytes.Index(line, delimiterMark)
	switch {
	case equals >= 0 && (mark < 0 || equals < mark):
		a.Key, a.Value = line[:equals], line[equals+1:]
	case mark >= 0:
		a.Key, a.Delimited = line[:mark], true
		rest := line[mark+len(delimiterMark):]
		a.Delimiter = rest[:min(len(rest), MaxDelimiterBytes+1)]
	default:
		return Assignment{}, false
	}
	a.Key = a.Key[:min(len(a.Key), MaxKeyBytes+1)]
	return a, true
}

// IsKey reports whether text can be a key, its length apart.
func IsKey(text []byte) bool {
	for _, c := range text {
		if !isKeyByte(c) {
			return false
		}
	}
	return len(text) > 0
}
