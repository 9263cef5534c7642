package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// value is a value with the expression that it comes from.
type value struct {
	cty.Value
	expr  hclsyntax.Expression
	diags diag.Diagnostics
}

// kind says how a value of runner.hcl becomes one of JSON.
type kind struct {
	// wants tells people what to write.
	wants string
	// decode takes a value that is known and not null.
	decode func(cty.Value) (any, error)
}

// kinds are the kinds with no elements.
var kinds = map[pluginv1.Kind]kind{
	pluginv1.Kind_KIND_STRING:   {"a text in double quotes", decodeString},
	pluginv1.Kind_KIND_BOOL:     {"true or false", decodeBool},
	pluginv1.Kind_KIND_INT:      {"a whole number", decodeInt},
	pluginv1.Kind_KIND_FLOAT:    {"a number", decodeFloat},
	pluginv1.Kind_KIND_DURATION: {`a duration such as "1m30s", or a number of seconds`, decodeDuration},
	pluginv1.Kind_KIND_BYTES:    {`a number of bytes, or a text such as "31KiB" or "1MB"`, decodeBytes},
	pluginv1.Kind_KIND_REGEXP:   {"a regular expression in RE2 syntax", decodeRegexp},
}

// kindOf returns what a type wants; for a list or map with no decode function.
func kindOf(t *pluginv1.Type) kind {
	switch t.GetKind() {
	case pluginv1.Kind_KIND_LIST:
		return kind{wants: "a list in square brackets, each element " + kinds[t.GetElement()].wants}
	case pluginv1.Kind_KIND_MAP:
		return kind{wants: "a map in braces, each value " + kinds[t.GetElement()].wants}
	default:
		return kinds[t.GetKind()]
	}
}

// value decodes the value of an attribute.
func (d *decoder) value(v value, a *pluginv1.Attribute) (any, bool) {
	switch a.GetType().GetKind() {
	case pluginv1.Kind_KIND_LIST:
		return d.list(v, a)
	case pluginv1.Kind_KIND_MAP:
		return d.mapping(v, a)
	default:
		return d.scalar(v.Value, a, a.GetType().GetKind(), v.expr.Range())
	}
}

func (d *decoder) list(v value, a *pluginv1.Attribute) (any, bool) {
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		d.wrongType(argumentNamed(a), kindOf(a.GetType()), v.expr.Range())
		return nil, false
	}
	exprs, _ := hcl.ExprList(v.expr)
	out, good := []any{}, true
	for i, element := range v.AsValueSlice() {
		at := v.expr.Range()
		if i < len(exprs) {
			at = exprs[i].Range()
		}
		x, ok := d.scalar(element, a, a.GetType().GetElement(), at)
		out, good = append(out, x), good && ok
	}
	return out, good
}

func (d *decoder) mapping(v value, a *pluginv1.Attribute) (any, bool) {
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		d.wrongType(argumentNamed(a), kindOf(a.GetType()), v.expr.Range())
		return nil, false
	}
	out, good := map[string]any{}, true
	elements := v.AsValueMap()
	for _, key := range slices.Sorted(maps.Keys(elements)) {
		at := v.expr.Range()
		if r, ok := d.source.entry(v.expr, key); ok {
			at = r
		}
		x, ok := d.scalar(elements[key], a, a.GetType().GetElement(), at)
		out[key], good = x, good && ok
	}
	return out, good
}

// entry returns the range of a map's value in the expression that makes the map.
func (s *source) entry(expr hclsyntax.Expression, key string) (hcl.Range, bool) {
	pairs, _ := hcl.ExprMap(expr)
	for _, pair := range pairs {
		k, ok := pair.Key.(hclsyntax.Expression)
		if !ok {
			continue
		}
		v, diags := s.scope.eval(k)
		if diags.HasErrors() || !v.IsKnown() || v.IsNull() {
			continue
		}
		if text, err := convert.Convert(v, cty.String); err == nil && text.AsString() == key {
			return pair.Value.Range(), true
		}
	}
	return hcl.Range{}, false
}

// scalar decodes a value with no elements. What is printed about it does not hold the value itself: it may be secret.
func (d *decoder) scalar(v cty.Value, a *pluginv1.Attribute, k pluginv1.Kind, at hcl.Range) (any, bool) {
	subject := subjectOf(a)
	known, ok := kinds[k]
	if !ok {
		d.add(d.source.errorAt(at, "Argument of an unknown kind", fmt.Sprintf(
			"The plugin says that %q is of kind %d, which this version of core does not know. Use a newer core, or an older plugin.", a.GetName(), k)))
		return nil, false
	}
	if v.IsNull() || !v.Type().IsPrimitiveType() {
		d.wrongType(subject, known, at)
		return nil, false
	}
	x, err := known.decode(v)
	if err != nil {
		detail := fmt.Sprintf("%s takes %s.", subject, known.wants)
		if !a.GetSensitive() && !errors.Is(err, errType) {
			detail += fmt.Sprintf(" Here: %s.", d.source.scope.mask(err.Error(), nil))
		}
		d.add(d.source.errorAt(at, "Wrong value", detail))
		return nil, false
	}
	text, isText := x.(string)
	if a.GetSensitive() && isText {
		d.secrets = append(d.secrets, text)
	}
	if set := a.GetOneOf(); len(set) > 0 && isText && !slices.Contains(set, text) {
		hint := nearest(text, set)
		if a.GetSensitive() {
			hint = nearest("", set)
		}
		d.add(d.source.errorAt(at, "Wrong value", fmt.Sprintf("%s does not take this value.%s", subject, hint)))
		return nil, false
	}
	return x, true
}

func (d *decoder) wrongType(subject string, k kind, at hcl.Range) {
	d.add(d.source.errorAt(at, "Wrong type", fmt.Sprintf("%s takes %s.", subject, k.wants)))
}

// argumentNamed names an argument for a diagnostic.
func argumentNamed(a *pluginv1.Attribute) string { return fmt.Sprintf("The argument %q", a.GetName()) }

// subjectOf names what holds a value of an argument: the argument itself, or an element of it.
func subjectOf(a *pluginv1.Attribute) string {
	switch a.GetType().GetKind() {
	case pluginv1.Kind_KIND_LIST:
		return fmt.Sprintf("An element of %q", a.GetName())
	case pluginv1.Kind_KIND_MAP:
		return fmt.Sprintf("A value in %q", a.GetName())
	default:
		return argumentNamed(a)
	}
}

// errType says no more than that a value is of another type.
var errType = errors.New("another type")

func decodeString(v cty.Value) (any, error) {
	text, err := convert.Convert(v, cty.String)
	if err != nil {
		return nil, errType
	}
	return text.AsString(), nil
}

// decodeBool takes the words that the environment of deployment tools has for truths, too: True, TRUE, 1.
func decodeBool(v cty.Value) (any, error) {
	if v.Type() == cty.String {
		b, err := strconv.ParseBool(v.AsString())
		if err != nil {
			return nil, errType
		}
		return b, nil
	}
	b, err := convert.Convert(v, cty.Bool)
	if err != nil {
		return nil, errType
	}
	return b.True(), nil
}

func decodeInt(v cty.Value) (any, error) {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return nil, errType
	}
	f := n.AsBigFloat()
	if !f.IsInt() {
		return nil, errors.New("it is not whole")
	}
	i, accuracy := f.Int64()
	if accuracy != big.Exact {
		return nil, errors.New("it does not fit 64 bits")
	}
	return i, nil
}

func decodeFloat(v cty.Value) (any, error) {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return nil, errType
	}
	f, _ := n.AsBigFloat().Float64()
	if math.IsInf(f, 0) {
		return nil, errors.New("it is too large")
	}
	return f, nil
}

// decodeDuration returns nanoseconds.
func decodeDuration(v cty.Value) (any, error) {
	if v.Type() == cty.Bool {
		return nil, errType
	}
	if n, err := convert.Convert(v, cty.Number); err == nil {
		return whole(new(big.Float).Mul(n.AsBigFloat(), big.NewFloat(float64(time.Second))))
	}
	d, err := time.ParseDuration(v.AsString())
	if err != nil {
		return nil, errType
	}
	return whole(new(big.Float).SetInt64(int64(d)))
}

// units are the ends of a size and what they stand for: powers of 1000 as in SI, powers of 1024 with an i.
var units = map[string]int64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// decodeBytes returns a number of bytes.
func decodeBytes(v cty.Value) (any, error) {
	if v.Type() == cty.Bool {
		return nil, errType
	}
	if n, err := convert.Convert(v, cty.Number); err == nil {
		f := n.AsBigFloat()
		if !f.IsInt() {
			return nil, errors.New("it is not whole")
		}
		return whole(f)
	}
	text := strings.TrimSpace(v.AsString())
	digits := strings.TrimRight(text, "BKMGTkmgtib ")
	unit, ok := units[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	if !ok {
		return nil, errors.New("the unit is none of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return nil, errType
	}
	return whole(new(big.Float).Mul(big.NewFloat(n), new(big.Float).SetInt64(unit)))
}

// whole returns f, cut to a whole number, when it is at least 0 and fits 64 bits.
func whole(f *big.Float) (any, error) {
	if f.Sign() < 0 {
		return nil, errors.New("it is less than 0")
	}
	n, _ := f.Int64()
	if f.Cmp(new(big.Float).SetInt64(math.MaxInt64)) > 0 {
		return nil, errors.New("it is too large")
	}
	return n, nil
}

func decodeRegexp(v cty.Value) (any, error) {
	text, err := convert.Convert(v, cty.String)
	if err != nil {
		return nil, errType
	}
	if _, err := syntax.Parse(text.AsString(), syntax.Perl); err != nil {
		var reason *syntax.Error
		if errors.As(err, &reason) {
			return nil, errors.New(reason.Code.String())
		}
		return nil, errType
	}
	return text.AsString(), nil
}
