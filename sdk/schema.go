package sdk

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// body is what a configuration struct, or a block in one, may hold. It is derived from the struct's tags once, when the
// plugin starts, and is read by many goroutines after that.
type body struct {
	fields []*field
}

// field is an attribute or a block: one field of a configuration struct.
type field struct {
	name, description string
	// index is the position in the struct.
	index    int
	optional bool

	// For attributes.
	value      scalar
	shape      pluginv1.Kind // KIND_LIST, KIND_MAP, or the kind of value
	sensitive  bool
	deprecated string
	oneOf      []string
	// fallback is the default as JSON; nil: none.
	fallback []byte

	// For blocks.
	block   *body
	nesting pluginv1.Nesting
}

var (
	nameRule      = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	durationType  = reflect.TypeFor[time.Duration]()
	bytesType     = reflect.TypeFor[Bytes]()
	sensitiveType = reflect.TypeFor[Sensitive]()
	regexpType    = reflect.TypeFor[*regexp.Regexp]()
)

// bodyOf derives the body of a struct type. Its errors are for the plugin's author and name the field.
func bodyOf(t reflect.Type, within ...reflect.Type) (*body, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("a configuration is a struct, and %s is none", t)
	}
	if slices.Contains(within, t) {
		return nil, fmt.Errorf("%s holds itself", t)
	}
	within = append(slices.Clip(within), t)
	b := &body{}
	var errs []error
	for i := range t.NumField() {
		sf := t.Field(i)
		f, err := fieldOf(sf, within)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("field %s of %s: %w", sf.Name, t, err))
		case f == nil:
		case b.field(f.name) != nil:
			errs = append(errs, fmt.Errorf("field %s of %s: there are two fields with the name %q", sf.Name, t, f.name))
		default:
			f.index = i
			b.fields = append(b.fields, f)
		}
	}
	return b, errors.Join(errs...)
}

// field returns the field with a name, or nil.
func (b *body) field(name string) *field {
	for _, f := range b.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// fieldOf derives a field; nil for one that is not part of the configuration.
func fieldOf(sf reflect.StructField, within []reflect.Type) (*field, error) {
	tag, tagged := sf.Tag.Lookup("config")
	switch {
	case tag == "-" || !tagged && !sf.IsExported():
		return nil, nil
	case !tagged:
		return nil, errors.New(`it has no tag; write config:"its_name", or config:"-" when it is not for runner.hcl`)
	case !sf.IsExported():
		return nil, errors.New("it has a config tag, and only exported fields can")
	}
	name, option, _ := strings.Cut(tag, ",")
	if !nameRule.MatchString(name) {
		return nil, fmt.Errorf("the name %q is not made of lower-case letters, digits and underscores", name)
	}
	if option != "" && option != "optional" {
		return nil, fmt.Errorf(`the option %q is unknown; there is only "optional"`, option)
	}
	f := &field{name: name, optional: option == "optional", description: sf.Tag.Get("desc")}
	if err := checkTags(sf.Tag); err != nil {
		return nil, err
	}
	var err error
	if element, nesting := blockOf(sf.Type); nesting != pluginv1.Nesting_NESTING_UNSPECIFIED {
		err = f.setBlock(sf.Tag, element, nesting, within)
	} else {
		err = f.setAttribute(sf.Tag, sf.Type)
	}
	return f, err
}

// checkTags refuses values of tags that have a closed set of them.
func checkTags(tag reflect.StructTag) error {
	if s, ok := tag.Lookup("sensitive"); ok && s != "true" && s != "false" {
		return fmt.Errorf(`sensitive:%q is neither "true" nor "false"`, s)
	}
	return nil
}

// blockOf returns the struct type of a field that is a block, and how many of them there may be.
func blockOf(t reflect.Type) (reflect.Type, pluginv1.Nesting) {
	isStruct := func(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != sensitiveType }
	switch {
	case t == regexpType:
	case isStruct(t):
		return t, pluginv1.Nesting_NESTING_SINGLE
	case t.Kind() == reflect.Pointer && isStruct(t.Elem()):
		return t.Elem(), pluginv1.Nesting_NESTING_SINGLE
	case t.Kind() == reflect.Slice && isStruct(t.Elem()):
		return t.Elem(), pluginv1.Nesting_NESTING_LIST
	case t.Kind() == reflect.Map && isStruct(t.Elem()) && t.Key().Kind() == reflect.String:
		return t.Elem(), pluginv1.Nesting_NESTING_MAP
	}
	return nil, pluginv1.Nesting_NESTING_UNSPECIFIED
}

func (f *field) setBlock(tag reflect.StructTag, t reflect.Type, nesting pluginv1.Nesting, within []reflect.Type) error {
	for _, key := range []string{"default", "one_of", "sensitive", "deprecated"} {
		if _, ok := tag.Lookup(key); ok {
			return fmt.Errorf("a block cannot have the tag %q; give it to the block's attributes", key)
		}
	}
	var err error
	f.nesting = nesting
	f.block, err = bodyOf(t, within...)
	return err
}

func (f *field) setAttribute(tag reflect.StructTag, t reflect.Type) error {
	element := t
	switch {
	case t == regexpType:
	case t.Kind() == reflect.Pointer:
		element = t.Elem()
	case t.Kind() == reflect.Slice:
		f.shape, element = pluginv1.Kind_KIND_LIST, t.Elem()
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		f.shape, element = pluginv1.Kind_KIND_MAP, t.Elem()
	}
	var ok bool
	if f.value, ok = scalarOf(element); !ok {
		return fmt.Errorf("a configuration cannot hold a %s; see the documentation of package sdk for what it can", t)
	}
	if f.shape == pluginv1.Kind_KIND_UNSPECIFIED {
		f.shape = f.value.kind
	}
	f.sensitive = tag.Get("sensitive") == "true" || element == sensitiveType
	f.deprecated = tag.Get("deprecated")
	if err := f.setOneOf(tag); err != nil {
		return err
	}
	return f.setDefault(tag)
}

func (f *field) setOneOf(tag reflect.StructTag) error {
	text, ok := tag.Lookup("one_of")
	if !ok {
		return nil
	}
	if f.value.kind != pluginv1.Kind_KIND_STRING {
		return errors.New("one_of is for strings, and for lists and maps of strings")
	}
	f.oneOf = strings.Split(text, ",")
	if slices.Contains(f.oneOf, "") {
		return fmt.Errorf("one_of:%q holds an empty value", text)
	}
	return nil
}

// schema returns the body as core reads it.
func (b *body) schema(description string) *pluginv1.Schema {
	s := &pluginv1.Schema{Description: description}
	for _, f := range b.fields {
		if f.block != nil {
			s.Blocks = append(s.Blocks, f.nestedBlock())
			continue
		}
		a := &pluginv1.Attribute{
			Name:        f.name,
			Type:        &pluginv1.Type{Kind: f.shape},
			Required:    f.required(),
			Sensitive:   f.sensitive,
			Deprecated:  f.deprecated,
			Description: f.description,
			DefaultJson: f.fallback,
			OneOf:       f.oneOf,
		}
		if f.shape != f.value.kind {
			a.Type.Element = f.value.kind
		}
		s.Attributes = append(s.Attributes, a)
	}
	return s
}

func (f *field) nestedBlock() *pluginv1.NestedBlock {
	n := &pluginv1.NestedBlock{Type: f.name, Nesting: f.nesting, Body: f.block.schema(f.description)}
	if f.nesting == pluginv1.Nesting_NESTING_SINGLE {
		n.MaxItems = 1
	}
	if f.required() {
		n.MinItems = 1
	}
	return n
}

func (f *field) required() bool { return !f.optional && f.fallback == nil }
