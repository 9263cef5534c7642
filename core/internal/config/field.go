package config

import (
	"reflect"
	"strings"
)

// field is a field of a Go type under its name in JSON.
type field struct {
	typ reflect.Type
	// required: the type says that it is always written, so a value without it is not whole.
	required bool
}

// fieldsOf returns the fields of a struct, those of embedded ones among them.
func fieldsOf(t reflect.Type) map[string]field {
	out := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous:
			for inner, x := range fieldsOf(f.Type) {
				out[inner] = x
			}
		case name != "":
			// A pointer may be nil whatever its tag says.
			out[name] = field{f.Type, !strings.Contains(options, "omitempty") && f.Type.Kind() != reflect.Pointer}
		}
	}
	return out
}
