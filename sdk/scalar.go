package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	regexpsyntax "regexp/syntax"
	"strconv"
	"strings"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// scalar is a type that holds one value: what it is in the schema, and how it is read.
type scalar struct {
	kind pluginv1.Kind
	typ  reflect.Type
}

// scalarOf returns the scalar of a Go type, and whether there is one.
func scalarOf(t reflect.Type) (scalar, bool) {
	kind := pluginv1.Kind_KIND_UNSPECIFIED
	switch t {
	case durationType:
		kind = pluginv1.Kind_KIND_DURATION
	case bytesType:
		kind = pluginv1.Kind_KIND_BYTES
	case regexpType:
		kind = pluginv1.Kind_KIND_REGEXP
	case sensitiveType:
		kind = pluginv1.Kind_KIND_STRING
	default:
		switch t.Kind() {
		case reflect.String:
			kind = pluginv1.Kind_KIND_STRING
		case reflect.Bool:
			kind = pluginv1.Kind_KIND_BOOL
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			kind = pluginv1.Kind_KIND_INT
		case reflect.Float32, reflect.Float64:
			kind = pluginv1.Kind_KIND_FLOAT
		}
	}
	return scalar{kind: kind, typ: t}, kind != pluginv1.Kind_KIND_UNSPECIFIED
}

// set reads a JSON value into v. Its errors say what is wrong with the value, without the value: it may be sensitive.
func (s scalar) set(v reflect.Value, data []byte) error {
	switch s.kind {
	case pluginv1.Kind_KIND_STRING, pluginv1.Kind_KIND_REGEXP:
		var text string
		if !isJSONString(data) || json.Unmarshal(data, &text) != nil {
			return errors.New("a text is needed")
		}
		return s.setText(v, text)
	case pluginv1.Kind_KIND_BOOL:
		text := string(data)
		if text != "true" && text != "false" {
			return errors.New("true or false is needed")
		}
		v.SetBool(text == "true")
		return nil
	case pluginv1.Kind_KIND_FLOAT:
		n, err := strconv.ParseFloat(string(data), 64)
		if err != nil || v.OverflowFloat(n) {
			return errors.New("a number is needed")
		}
		v.SetFloat(n)
		return nil
	}
	return s.setInt(v, data)
}

func isJSONString(data []byte) bool { return len(data) > 0 && data[0] == '"' }

func (s scalar) setText(v reflect.Value, text string) error {
	if s.typ == sensitiveType {
		v.Set(reflect.ValueOf(NewSensitive(text)))
		return nil
	}
	if s.kind == pluginv1.Kind_KIND_STRING {
		v.SetString(text)
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		var syntax *regexpsyntax.Error
		if errors.As(err, &syntax) {
			// The rest of the error is the expression, which may be sensitive.
			return fmt.Errorf("a regular expression in RE2 syntax is needed: %s", syntax.Code)
		}
		return errors.New("a regular expression in RE2 syntax is needed")
	}
	v.Set(reflect.ValueOf(re))
	return nil
}

func (s scalar) setInt(v reflect.Value, data []byte) error {
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return fmt.Errorf("a whole number%s is needed", s.unit())
	}
	if v.CanInt() {
		if v.OverflowInt(n) {
			return fmt.Errorf("a whole number is needed that fits %d bits", s.typ.Bits())
		}
		v.SetInt(n)
		return nil
	}
	if n < 0 || v.OverflowUint(uint64(n)) {
		return fmt.Errorf("a whole number is needed, not negative, that fits %d bits", s.typ.Bits())
	}
	v.SetUint(uint64(n))
	return nil
}

// unit is what a number of this kind counts. Core reads durations and sizes from runner.hcl; a test's map has the numbers.
func (s scalar) unit() string {
	switch s.kind {
	case pluginv1.Kind_KIND_DURATION:
		return " of nanoseconds, such as that of a time.Duration,"
	case pluginv1.Kind_KIND_BYTES:
		return " of bytes"
	}
	return ""
}

// parseTag reads the text of a default tag and returns it as JSON.
func (s scalar) parseTag(text string) ([]byte, error) {
	data := []byte(text)
	switch s.kind {
	case pluginv1.Kind_KIND_STRING, pluginv1.Kind_KIND_REGEXP:
		data, _ = json.Marshal(text)
	case pluginv1.Kind_KIND_DURATION:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, errors.New(`it is not a duration such as "1m30s"`)
		}
		data = strconv.AppendInt(nil, int64(d), 10)
	case pluginv1.Kind_KIND_BYTES:
		n, err := parseBytes(text)
		if err != nil {
			return nil, err
		}
		data = strconv.AppendInt(nil, int64(n), 10)
	}
	if !json.Valid(data) {
		return nil, fmt.Errorf("it is not a value of type %s", s.typ)
	}
	return data, s.set(reflect.New(s.typ).Elem(), data)
}

// setDefault reads the default tag, so that a wrong one is found when the plugin starts.
func (f *field) setDefault(tag reflect.StructTag) error {
	text, ok := tag.Lookup("default")
	if !ok {
		return nil
	}
	if f.sensitive {
		return errors.New("what is sensitive cannot have a default: everybody can see it")
	}
	if f.shape == pluginv1.Kind_KIND_MAP {
		return errors.New("a map cannot have a default")
	}
	texts := []string{text}
	if f.shape == pluginv1.Kind_KIND_LIST {
		texts = strings.Split(text, ",")
	}
	parts := make([]string, len(texts))
	for i, t := range texts {
		data, err := f.value.parseTag(t)
		if err != nil {
			return fmt.Errorf("default:%q: %w", text, err)
		}
		if err := f.checkOneOf(t); err != nil {
			return fmt.Errorf("default:%q: %w", text, err)
		}
		parts[i] = string(data)
	}
	f.fallback = []byte(strings.Join(parts, ","))
	if f.shape == pluginv1.Kind_KIND_LIST {
		f.fallback = []byte("[" + string(f.fallback) + "]")
	}
	return nil
}

// sizeUnits are what may stand after a number of bytes; longer ones first where one ends in another.
var sizeUnits = []struct {
	name  string
	bytes Bytes
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// parseBytes reads a size: digits, and perhaps a unit.
func parseBytes(text string) (Bytes, error) {
	unit := Bytes(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > int64(1<<62)/int64(unit) {
		return 0, errors.New(`it is not a size such as "31KiB" or "1MB"`)
	}
	return Bytes(n) * unit, nil
}
