package migrate

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/suggest"
)

// podKey is a key of the section `kubernetes`.
type podKey struct {
	name string
	typ  reflect.Type
}

// podKeys are all of them. Their values win over flags and environment.
var podKeys = []podKey{
	{"namespace", reflect.TypeFor[string]()},
	{"lifetime", reflect.TypeFor[int64]()},
	{"shell", reflect.TypeFor[string]()},
	{"workingDir", reflect.TypeFor[string]()},
	{"annotations", reflect.TypeFor[map[string]string]()},
	{"resources", reflect.TypeFor[corev1.ResourceRequirements]()},
	{"serviceAccountName", reflect.TypeFor[string]()},
	{"terminationGracePeriodSeconds", reflect.TypeFor[int64]()},
	{"dnsPolicy", reflect.TypeFor[string]()},
	{"pullPolicy", reflect.TypeFor[string]()},
	{"securityContext", reflect.TypeFor[corev1.PodSecurityContext]()},
	{"nodeSelector", reflect.TypeFor[map[string]string]()},
	{"agentMode", reflect.TypeFor[bool]()},
	{"helperImage", reflect.TypeFor[string]()},
}

// podFile is what the section says, by key; the values are in HCL.
type podFile map[string]*object

// readPod takes the section apart.
func (m *migration) readPod(f *diag.File, node *yaml.Node) {
	m.pod = podFile{}
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		m.fail(nodeAt(f, node), "Not a mapping", "The section kubernetes holds names and values, such as namespace: jobs.")
		return
	}
	var known []string
	for _, k := range podKeys {
		known = append(known, k.name)
	}
	for _, p := range m.pairs(f, node) {
		i := slices.IndexFunc(podKeys, func(k podKey) bool { return strings.EqualFold(k.name, p.key.Value) })
		if i < 0 {
			hide(f, p.value)
			m.warn(nodeAt(f, p.key), "Unknown key", fmt.Sprintf("opslevel-runner passed over %q in the section kubernetes, and so does this.%s",
				p.key.Value, suggest.Hint(p.key.Value, known)))
			continue
		}
		if isNull(p.value) {
			continue
		}
		if o := m.native(f, p.value, podKeys[i].typ, podKeys[i].name); o != nil {
			m.pod[podKeys[i].name] = o
		}
	}
}

var (
	wholeNumber  = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)$`)
	quantityType = reflect.TypeFor[resource.Quantity]()
)

// native returns a value in HCL, of the type that it has in Kubernetes' API; nil when it is not of that type. Names are
// compared without case, as the seed did; those that there are not it passed over.
func (m *migration) native(f *diag.File, node *yaml.Node, typ reflect.Type, path string) *object {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	at := nodeAt(f, node)
	switch {
	case typ.Kind() == reflect.Struct && typ != quantityType:
		return m.structure(f, node, typ, path)
	case typ.Kind() == reflect.Map:
		if node.Kind != yaml.MappingNode {
			m.fail(at, "Wrong type", fmt.Sprintf("%s takes a mapping.", path))
			return nil
		}
		out := &object{members: []member{}, at: at}
		for _, p := range m.pairs(f, node) {
			if value := m.native(f, p.value, typ.Elem(), path+"."+p.key.Value); value != nil {
				out.set(p.key.Value, value)
			}
		}
		return out
	case typ.Kind() == reflect.Slice:
		return m.list(f, node, typ, path)
	case node.Kind != yaml.ScalarNode:
		m.fail(at, "Wrong type", fmt.Sprintf("%s takes a single value.", path))
		return nil
	}
	return m.leaf(node, typ, path, at)
}

// structure is native for a type with fields.
func (m *migration) structure(f *diag.File, node *yaml.Node, typ reflect.Type, path string) *object {
	if node.Kind != yaml.MappingNode {
		m.fail(nodeAt(f, node), "Wrong type", fmt.Sprintf("%s takes a mapping.", path))
		return nil
	}
	out := &object{members: []member{}, at: nodeAt(f, node)}
	for _, p := range m.pairs(f, node) {
		name, inner, known := fieldOf(typ, p.key.Value)
		if inner == nil {
			m.warn(nodeAt(f, p.key), "Unknown key", fmt.Sprintf("opslevel-runner passed over %q in %s, and so does this.%s",
				p.key.Value, path, suggest.Hint(p.key.Value, known)))
			continue
		}
		if isNull(p.value) {
			continue
		}
		if value := m.native(f, p.value, inner, path+"."+name); value != nil {
			out.set(name, value)
		}
	}
	return out
}

// fieldOf returns the field of a type under its name in JSON, whatever the case of its letters, and the names of all.
func fieldOf(typ reflect.Type, key string) (string, reflect.Type, []string) {
	var known []string
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if strings.EqualFold(name, key) {
			return name, typ.Field(i).Type, nil
		}
		known = append(known, name)
	}
	return "", nil, known
}

// list is native for a list, which is written on one line.
func (m *migration) list(f *diag.File, node *yaml.Node, typ reflect.Type, path string) *object {
	if node.Kind != yaml.SequenceNode {
		m.fail(nodeAt(f, node), "Wrong type", fmt.Sprintf("%s takes a list.", path))
		return nil
	}
	var elements []string
	for i, element := range node.Content {
		o := m.native(f, follow(element), typ.Elem(), fmt.Sprintf("%s[%d]", path, i))
		if o == nil {
			return nil
		}
		elements = append(elements, o.inline())
	}
	return &object{leaf: "[" + strings.Join(elements, ", ") + "]", at: nodeAt(f, node)}
}

// leaf is native for a single value.
func (m *migration) leaf(node *yaml.Node, typ reflect.Type, path string, at diag.Range) *object {
	switch typ.Kind() {
	case reflect.Bool:
		word := truth(node)
		if word != "true" && word != "false" {
			m.fail(at, "Wrong type", fmt.Sprintf("%s takes true or false.", path))
			return nil
		}
		return &object{leaf: word, at: at}
	case reflect.Int, reflect.Int32, reflect.Int64:
		if !wholeNumber.MatchString(node.Value) {
			m.fail(at, "Wrong type", fmt.Sprintf("%s takes a whole number.", path))
			return nil
		}
		return &object{leaf: node.Value, at: at}
	}
	if isNull(node) {
		return &object{leaf: `""`, at: at}
	}
	return &object{leaf: quote(node.Value), at: at}
}

// inline returns a value on one line.
func (o *object) inline() string {
	if o.members == nil {
		return o.leaf
	}
	var parts []string
	for _, m := range o.members {
		parts = append(parts, keyOf(m.key)+" = "+m.value.inline())
	}
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}
