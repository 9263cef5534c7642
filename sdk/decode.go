package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// decode reads a configuration, an object that fits the schema, into the struct v, which is zero. Core has checked it
// against the schema already; whatever it has missed, and whatever another host sends, is reported in d.
func (b *body) decode(data []byte, v reflect.Value, d *Diagnostics) {
	if len(data) == 0 {
		data = []byte("{}")
	}
	b.decodeAt(Path{}, data, v, d)
}

func (b *body) decodeAt(at Path, data []byte, v reflect.Value, d *Diagnostics) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		d.Error(at, "Wrong type", "A block is needed here.")
		return
	}
	for _, f := range b.fields {
		value, present := object[f.name]
		delete(object, f.name)
		here := at.Name(f.name)
		switch target := v.Field(f.index); {
		case present && !isNull(value):
			f.decode(here, value, target, d)
		case f.fallback != nil:
			f.decode(here, f.fallback, target, d)
		case !f.optional:
			d.Error(here, "Missing "+f.noun(), fmt.Sprintf("%q must be given.", f.name))
		case f.block != nil && target.Kind() == reflect.Struct:
			f.block.setDefaults(target)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		d.Error(at.Name(name), "Unknown name", fmt.Sprintf("There is no attribute and no block %q here.", name))
	}
}

func (f *field) noun() string {
	if f.block != nil {
		return "block"
	}
	return "attribute"
}

func isNull(data json.RawMessage) bool { return string(bytes.TrimSpace(data)) == "null" }

// setDefaults fills a block that is absent.
func (b *body) setDefaults(v reflect.Value) {
	for _, f := range b.fields {
		switch target := v.Field(f.index); {
		case f.fallback != nil:
			f.decode(Path{}, f.fallback, target, &Diagnostics{})
		case f.block != nil && target.Kind() == reflect.Struct:
			f.block.setDefaults(target)
		}
	}
}

// decode reads the value of a field, which is neither absent nor null.
func (f *field) decode(at Path, data []byte, v reflect.Value, d *Diagnostics) {
	if v.Kind() == reflect.Pointer && v.Type() != regexpType {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case f.nesting == pluginv1.Nesting_NESTING_LIST, f.shape == pluginv1.Kind_KIND_LIST:
		f.decodeList(at, data, v, d)
	case f.nesting == pluginv1.Nesting_NESTING_MAP, f.shape == pluginv1.Kind_KIND_MAP:
		f.decodeMap(at, data, v, d)
	default:
		f.decodeElement(at, data, v, d)
	}
}

func (f *field) decodeList(at Path, data []byte, v reflect.Value, d *Diagnostics) {
	var elements []json.RawMessage
	if err := json.Unmarshal(data, &elements); err != nil {
		d.Error(at, "Wrong type", "A list is needed here.")
		return
	}
	if f.block != nil && len(elements) == 0 && !f.optional {
		d.Error(at, "Missing block", fmt.Sprintf("At least one block %q must be given.", f.name))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	for i, element := range elements {
		f.decodeElement(at.Index(i), element, v.Index(i), d)
	}
}

func (f *field) decodeMap(at Path, data []byte, v reflect.Value, d *Diagnostics) {
	var elements map[string]json.RawMessage
	if err := json.Unmarshal(data, &elements); err != nil {
		d.Error(at, "Wrong type", "A map is needed here.")
		return
	}
	if f.block != nil && len(elements) == 0 && !f.optional {
		d.Error(at, "Missing block", fmt.Sprintf("At least one block %q must be given.", f.name))
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(elements)))
	for _, key := range slices.Sorted(maps.Keys(elements)) {
		element := reflect.New(v.Type().Elem()).Elem()
		f.decodeElement(at.Key(key), elements[key], element, d)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
	}
}

// decodeElement reads one block, or one scalar.
func (f *field) decodeElement(at Path, data []byte, v reflect.Value, d *Diagnostics) {
	if f.block != nil {
		f.block.decodeAt(at, data, v, d)
		return
	}
	if err := f.value.set(v, bytes.TrimSpace(data)); err != nil {
		d.Error(at, "Wrong value", strings.ToUpper(err.Error()[:1])+err.Error()[1:]+".")
		return
	}
	if f.oneOf != nil {
		if err := f.checkOneOf(textOf(v)); err != nil {
			d.Error(at, "Wrong value", strings.ToUpper(err.Error()[:1])+err.Error()[1:]+".")
		}
	}
}

// textOf returns the text of a scalar that is one.
func textOf(v reflect.Value) string {
	if s, ok := v.Interface().(Sensitive); ok {
		return s.Reveal()
	}
	return v.String()
}

// checkOneOf refuses a text that is not in the field's closed set.
func (f *field) checkOneOf(text string) error {
	if f.oneOf == nil || slices.Contains(f.oneOf, text) {
		return nil
	}
	return fmt.Errorf("one of %s is needed", strings.Join(f.oneOf, ", "))
}
