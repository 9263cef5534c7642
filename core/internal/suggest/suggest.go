// Package suggest finds what somebody may have meant when they typed a name that does not exist.
package suggest

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// maxDistance bounds the edits between a name and the one suggested for it; a short name allows fewer.
const maxDistance = 3

// Name returns the candidate that given most likely stands for, or "". Of equally good ones it is the first in
// alphabetical order, so the answer does not depend on the order of candidates.
func Name(given string, candidates []string) string {
	best, bestDistance := "", min(maxDistance, 1+len(given)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		distance := levenshtein.Distance(strings.ToLower(given), strings.ToLower(candidate), nil)
		if distance < bestDistance && distance < len(candidate) {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// Hint returns a sentence to put after "There is no X.": ` Did you mean "y"?`, or nothing when no candidate is near.
func Hint(given string, candidates []string) string {
	if name := Name(given, candidates); name != "" {
		return ` Did you mean "` + name + `"?`
	}
	return ""
}
