package telemetry

import (
	"strings"
	"unicode/utf8"
)

// maxLabelBytes bounds a label's value. The names of runner.hcl and Kubernetes' reasons have at most 63.
const maxLabelBytes = 64

// other stands for the values for which there is no room any more.
const other = "other"

// label makes a text one that may be a label's value: the client library panics at one that is not UTF-8.
func label(text string) string {
	if len(text) <= maxLabelBytes && utf8.ValidString(text) {
		return text
	}
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maxLabelBytes {
		return text
	}
	end := maxLabelBytes
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// number is a count as the client library takes it; one that has gone wrong does not make a counter panic.
func number(n int) float64 { return float64(max(n, 0)) }
