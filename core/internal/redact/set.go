package redact

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"weak"

	"github.com/podrunner/runner/sdk/mask/forms"
	"github.com/podrunner/runner/sdk/mask/match"
	"github.com/podrunner/runner/sdk/mask/policy"
)

// options are what the processor sanitize has by default, but for lines of one width: core's own texts are no dumps, and
// those forms are half of all.
var options = policy.Options{MinLength: policy.DefaultMinLength, Without: []forms.Kind{forms.Wrapped}}

// newMatcher returns what finds values in all their forms. Those of a job that has more or longer ones than there is room
// for, which is refused where its log is masked, are found as they are, as a whole and by the line.
func newMatcher(values []policy.Secret) *match.Matcher {
	selection, err := policy.Select(values, options)
	if err == nil {
		return match.New(selection.Texts)
	}
	var plain []match.Form
	for _, v := range values {
		value := bytes.TrimSpace(v.Value)
		for _, text := range append(forms.Lines(value), value) {
			if text = bytes.TrimSpace(text); len(text) >= options.MinLength {
				plain = append(plain, match.Form{Text: text})
			}
		}
	}
	return match.New(plain)
}

// set is what finds the values of a job. It is not changed.
type set struct {
	matcher *match.Matcher
}

// sets are those in use, by a sum over their values: several redactors look for the values of a job, and jobs often have
// the same.
var sets = struct {
	mu  sync.Mutex
	all map[sum]weak.Pointer[set]
}{all: map[sum]weak.Pointer[set]{}}

type sum [sha256.Size]byte

// setOf returns the set for some values, which it makes if there is none. That takes milliseconds.
func setOf(values []policy.Secret) *set {
	key := sumOf(values)
	if s := setInUse(key); s != nil {
		return s
	}
	s := &set{matcher: newMatcher(values)}
	sets.mu.Lock()
	defer sets.mu.Unlock()
	if other := sets.all[key].Value(); other != nil {
		return other
	}
	sets.all[key] = weak.Make(s)
	runtime.AddCleanup(s, forget, key)
	return s
}

func setInUse(key sum) *set {
	sets.mu.Lock()
	defer sets.mu.Unlock()
	return sets.all[key].Value()
}

// forget removes a set that nobody uses any more, unless there is another one by now.
func forget(key sum) {
	sets.mu.Lock()
	defer sets.mu.Unlock()
	if sets.all[key].Value() == nil {
		delete(sets.all, key)
	}
}

func sumOf(values []policy.Secret) (s sum) {
	h := sha256.New()
	for _, v := range values {
		_ = binary.Write(h, binary.BigEndian, uint64(len(v.Value))) // a hash takes all
		h.Write(v.Value)
	}
	h.Sum(s[:0])
	return s
}
