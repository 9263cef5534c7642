package directive

import "slices"

// Limits of a token: of the least length it is not met by chance.
const (
	MinTokenBytes = 8
	MaxTokenBytes = 128
)

// taken are words that mean something between colons, here or to another processor.
var taken = []string{
	"set-outcome-var", "start-multiline-outcome-var", "end-multiline-outcome-var", "stop-commands", "add-mask", "pause-logging",
}

// RefuseToken says what is wrong with a token; "" for nothing. It does not repeat the token.
func RefuseToken(token []byte) string {
	switch {
	case len(token) == 0:
		return "the token is empty"
	case slices.Contains(taken, string(token)):
		return "the token is the name of a directive"
	case len(token) < MinTokenBytes:
		return "the token is shorter than 8 bytes"
	case len(token) > MaxTokenBytes:
		return "the token is longer than 128 bytes"
	case slices.ContainsFunc(token, func(c byte) bool { return c <= ' ' || c > '~' }):
		return "the token has other characters than visible ASCII ones"
	default:
		return ""
	}
}

// IsResume reports whether a line ends what a Stop with this token began or, with more set, whether its beginning may turn
// out to.
func IsResume(text []byte, token string, more bool) bool {
	return matches(text, "::"+token+"::", more)
}

// IsDelimiter reports whether a line is the delimiter or, with more set, whether its beginning may turn out to be.
func IsDelimiter(text []byte, delimiter string, more bool) bool {
	return matches(text, delimiter, more)
}

// matches compares a line with what it is to be; one CR may follow.
func matches(text []byte, want string, more bool) bool {
	if !more {
		return string(TrimReturn(text)) == want
	}
	if len(text) == len(want)+1 {
		return string(text) == want+"\r"
	}
	return len(text) <= len(want) && string(text) == want[:len(text)]
}
