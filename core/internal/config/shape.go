package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// shape fits trees to the types of Kubernetes' API. It knows those types by reflection only.
type shape struct {
	// patch is for a strategic merge patch: null removes, what is required may be absent, and a key that begins with $
	// is a directive, which is not looked at.
	patch bool
	// removable lets a null stand for a key of a map, to take out what an outer block has said.
	removable bool
	// lenient takes texts for numbers and truths, as the environment has them, and the reverse.
	lenient bool
	// problem is told what is wrong, where.
	problem func(path string, at place, summary, detail string)
	// found, unless nil, is told where each part is.
	found func(path string, at place)
}

var (
	quantityType    = reflect.TypeFor[resource.Quantity]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// fit returns the JSON value of a tree that fits a type; false when it does not, which problem has been told. In a
// value that is no patch null stands for "not given".
func (s *shape) fit(t *tree, typ reflect.Type, path string) (any, bool) {
	if s.found != nil {
		s.found(path, t.at)
	}
	if t.null() && s.patch {
		return nil, true
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == quantityType:
		return s.leaf(t, path, `a quantity that is not negative, such as "250m", "1.5Gi" or 2`, s.quantity)
	case reflect.PointerTo(typ).Implements(unmarshalerType):
		return s.leaf(t, path, "another value", func(v any) (any, bool) { return v, decodes(v, typ) })
	}
	switch typ.Kind() {
	case reflect.Struct:
		return s.object(t, typ, path)
	case reflect.Map:
		return s.mapping(t, typ, path)
	case reflect.Slice:
		if typ.Elem().Kind() != reflect.Uint8 {
			return s.elements(t, typ, path)
		}
		return s.leaf(t, path, "a text in base64", func(v any) (any, bool) { return v, decodes(v, typ) })
	case reflect.String:
		return s.name(t, typ, path)
	case reflect.Bool:
		return s.leaf(t, path, "true or false", s.truth)
	default:
		return s.leaf(t, path, wholeNumber(typ), func(v any) (any, bool) {
			n, ok := s.number(v)
			return n, ok && decodes(n, typ)
		})
	}
}

// object fits a tree to a struct.
func (s *shape) object(t *tree, typ reflect.Type, path string) (any, bool) {
	if t.kind != treeObject {
		return s.wrongType(t, path, s.words("a map", " in braces"))
	}
	fields := fieldsOf(typ)
	known := slices.Sorted(maps.Keys(fields))
	out, good, unknown := map[string]any{}, true, false
	for _, m := range t.members {
		if s.patch && strings.HasPrefix(m.key, "$") {
			out[m.key] = m.value.plain()
			continue
		}
		f, ok := fields[m.key]
		if !ok {
			s.problem(join(path, m.key), m.at, "Unknown field", fmt.Sprintf(
				"There is no field %q in %s.%s", m.key, named(path), suggestOr(m.key, known, listNames(known))))
			good, unknown = false, true
			continue
		}
		if m.value.null() && !s.patch {
			continue
		}
		x, ok := s.fit(m.value, f.typ, join(path, m.key))
		out[m.key], good = x, good && ok
	}
	if unknown {
		return nil, false // what is missing may be there under a wrong name
	}
	for _, name := range known {
		if given := t.member(name); !s.patch && fields[name].required && (given == nil || given.null()) {
			s.problem(path, t.at, "Missing field", fmt.Sprintf("The field %q is missing in %s.", name, named(path)))
			good = false
		}
	}
	return out, good
}

// mapping fits a tree to a map.
func (s *shape) mapping(t *tree, typ reflect.Type, path string) (any, bool) {
	if t.kind != treeObject {
		return s.wrongType(t, path, s.words("a map", " in braces"))
	}
	out, good := map[string]any{}, true
	for _, m := range t.members {
		if s.patch && strings.HasPrefix(m.key, "$") {
			out[m.key] = m.value.plain()
			continue
		}
		if typ == resourceListType && !knownResource(m.key) {
			s.problem(join(path, m.key), m.at, "Unknown resource", fmt.Sprintf(
				"There is no resource %q. A resource that is not Kubernetes' own has a domain in its name, as in \"nvidia.com/gpu\".%s", m.key, suggestOr(m.key, resourceNames, "")))
			good = false
		}
		if m.value.null() && s.removable {
			if s.found != nil {
				s.found(join(path, m.key), m.value.at)
			}
			out[m.key] = nil
			continue
		}
		x, ok := s.fit(m.value, typ.Elem(), join(path, m.key))
		out[m.key], good = x, good && ok
	}
	return out, good
}

// elements fits a tree to a slice.
func (s *shape) elements(t *tree, typ reflect.Type, path string) (any, bool) {
	if t.kind != treeList {
		return s.wrongType(t, path, s.words("a list", " in square brackets"))
	}
	out, good := []any{}, true
	for i, element := range t.list {
		x, ok := s.fit(element, typ.Elem(), fmt.Sprintf("%s[%d]", path, i))
		out, good = append(out, x), good && ok
	}
	return out, good
}

// leaf fits a tree to a type with no parts. take returns the value in JSON.
func (s *shape) leaf(t *tree, path, wants string, take func(any) (any, bool)) (any, bool) {
	if t.kind != treeScalar || t.scalar == nil {
		return s.wrongType(t, path, wants)
	}
	x, ok := take(t.scalar)
	if !ok {
		s.problem(path, t.at, "Wrong value", fmt.Sprintf("%s takes %s.", named(path), wants))
	}
	return x, ok
}

// words says what is taken, with how it is written in HCL; YAML has several ways.
func (s *shape) words(what, inHCL string) string {
	if s.patch {
		return what
	}
	return what + inHCL
}

func (s *shape) wrongType(t *tree, path, wants string) (any, bool) {
	s.problem(path, t.at, "Wrong type", fmt.Sprintf("%s takes %s.", named(path), wants))
	return nil, false
}

// name fits a tree to a type of texts.
func (s *shape) name(t *tree, typ reflect.Type, path string) (any, bool) {
	v, ok := s.leaf(t, path, s.words("a text", " in double quotes"), s.text)
	text, _ := v.(string)
	if set := vocabularies[typ]; ok && len(set) > 0 && !slices.Contains(set, text) {
		s.problem(path, t.at, "Wrong value", fmt.Sprintf("%s does not take this value.%s", named(path), nearest(text, set)))
		return nil, false
	}
	return v, ok
}

func (s *shape) text(v any) (any, bool) {
	if text, ok := v.(string); ok || !s.lenient {
		return text, ok
	}
	return fmt.Sprint(v), true
}

func (s *shape) truth(v any) (any, bool) {
	if b, ok := v.(bool); ok || !s.lenient {
		return b, ok
	}
	return v == "true", v == "true" || v == "false"
}

// number returns a json.Number.
func (s *shape) number(v any) (any, bool) {
	switch v := v.(type) {
	case json.Number:
		return v, true
	case string:
		return json.Number(v), s.lenient && jsonInteger.MatchString(v)
	}
	return nil, false
}

var (
	jsonInteger = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)$`)
	// plainQuantity is a quantity of a sane length: the parser takes its time for 1e999999999.
	plainQuantity = regexp.MustCompile(`^[0-9.]{1,40}(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$`)
)

// quantity returns a quantity in the form in which Kubernetes writes it.
func (s *shape) quantity(v any) (any, bool) {
	text := fmt.Sprint(v)
	if _, isBool := v.(bool); isBool || !plainQuantity.MatchString(text) {
		return nil, false
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return nil, false
	}
	return q.String(), true
}

// wholeNumber says what an integer type takes.
func wholeNumber(typ reflect.Type) string {
	if typ.Kind() == reflect.Int32 {
		return "a whole number of 32 bits"
	}
	return "a whole number"
}

// decodes reports whether a JSON value decodes into a type.
func decodes(v any, typ reflect.Type) bool {
	text, err := json.Marshal(v)
	return err == nil && json.Unmarshal(text, reflect.New(typ).Interface()) == nil
}

// plain returns a tree as encoding/json has it.
func (t *tree) plain() any {
	switch t.kind {
	case treeList:
		out := []any{}
		for _, element := range t.list {
			out = append(out, element.plain())
		}
		return out
	case treeObject:
		out := map[string]any{}
		for _, m := range t.members {
			out[m.key] = m.value.plain()
		}
		return out
	default:
		return t.scalar
	}
}

// plainKey is a key that stands after a dot in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join adds a key to a path: spec.volumes, limits["nvidia.com/gpu"].
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// named names what a path leads to.
func named(path string) string {
	if path == "" {
		return "the pod"
	}
	return path
}
