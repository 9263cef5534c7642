package jobfile

import (
	"strings"

	"github.com/agext/levenshtein"
)

// names are the keys of a file, in the spelling that is recommended.
func names() []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.name
	}
	return list
}

// maxDistance bounds the edits between a name and the one suggested for it; a short name allows fewer.
const maxDistance = 3

// hint is a sentence with the key that somebody may have meant, with a space before it, or nothing.
func hint(given string) string {
	best, bestDistance := "", min(maxDistance, 1+len(given)/3)+1
	for _, name := range names() {
		if distance := levenshtein.Distance(strings.ToLower(given), name, nil); distance < bestDistance && distance < len(name) {
			best, bestDistance = name, distance
		}
	}
	if best == "" {
		return ""
	}
	return ` Did you mean "` + best + `"?`
}
