package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

// OverlayProblem is something that is wrong with an overlay.
type OverlayProblem struct {
	// Path leads to what is wrong, as in spec.containers[0].image; "" for the whole.
	Path string
	// Line is where it stands in the text, counted from 1; 0 when that is not known.
	Line int
	// Summary and Detail are as in diag.Diagnostic.
	Summary, Detail string
}

func (p OverlayProblem) Error() string { return p.Detail }

// podOutline is what any job's pod has at least; an overlay is applied to it once to see that this can be done.
const podOutline = `{"metadata": {"name": "pod"}, "spec": {
	"containers": [{"name": "helper"}, {"name": "init", "env": [{"name": "A"}]},
		{"name": "job", "env": [{"name": "A"}], "volumeMounts": [{"name": "tools", "mountPath": "/mount"}]}],
	"volumes": [{"name": "tools", "emptyDir": {}}]}}`

// ParseOverlay checks an overlay and returns it as JSON. An overlay is a strategic merge patch for a job's pod, in YAML
// or JSON; what is refused in it, CheckOverlay tells. The patch is nil when the text says nothing, or has problems, which
// come in the order of their lines. What it has returned may be given to it again.
func ParseOverlay(text []byte) ([]byte, []OverlayProblem) {
	root, problem := overlayTree(text)
	if problem != nil {
		return nil, []OverlayProblem{*problem}
	}
	if root.null() {
		return nil, nil
	}
	if root.kind != treeObject {
		return nil, []OverlayProblem{{Line: root.at.line, Summary: "Wrong type", Detail: "An overlay is a map of what is set in the pod, such as spec: { hostNetwork: true }."}}
	}
	var problems []OverlayProblem
	s := &shape{patch: true, problem: func(path string, at place, summary, detail string) {
		problems = append(problems, OverlayProblem{Path: path, Line: at.line, Summary: summary, Detail: detail})
	}}
	value, _ := s.fit(root, reflect.TypeFor[corev1.Pod](), "")
	problems = append(problems, guardOverlay(root)...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b OverlayProblem) int { return a.Line - b.Line })
		return nil, problems
	}
	patch, err := json.Marshal(value)
	if err == nil {
		_, err = strategicpatch.StrategicMergePatch([]byte(podOutline), patch, corev1.Pod{})
	}
	if err != nil {
		return nil, []OverlayProblem{notApplicable(err)}
	}
	return patch, nil
}

// notApplicable makes a problem of why a patch can't be applied. The error itself is not printed: it holds values.
func notApplicable(err error) OverlayProblem {
	detail := "The overlay can't be applied to a pod. Look at its $patch directives, and at the lists in it."
	if _, key, ok := strings.Cut(err.Error(), "does not contain declared merge key: "); ok {
		detail = fmt.Sprintf("The overlay can't be applied to a pod: an element of a list has no %q, by which it is told which one is meant.", key)
	}
	return OverlayProblem{Summary: "Overlay not applicable", Detail: detail}
}

// CheckOverlay returns what is wrong with an overlay as one error. An overlay must not touch what core owns of a pod: its
// name and owner, its life, the volumes and labels by which it works, and what its own containers run.
func CheckOverlay(text []byte) error {
	_, problems := ParseOverlay(text)
	var errs []error
	for _, p := range problems {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// overlayTree parses an overlay. Its values are those that Kubernetes' own parser makes of the text, so that what is
// checked is what is applied; the places come from a second parser, which knows them.
func overlayTree(text []byte) (*tree, *OverlayProblem) {
	decoder := yamlv3.NewDecoder(bytes.NewReader(text))
	var node, more yamlv3.Node
	err := decoder.Decode(&node)
	if errors.Is(err, io.EOF) {
		return &tree{}, nil
	}
	if err != nil {
		return nil, notYAML(err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, notYAML(err)
		}
		return nil, &OverlayProblem{Line: more.Line, Summary: "Second document", Detail: "An overlay is a single document. Remove the line --- and what follows it, or put both into one."}
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, notYAML(err)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, notYAML(err)
	}
	var body *yamlv3.Node
	if len(node.Content) > 0 {
		body = node.Content[0]
	}
	return yamlTree(v, body, 1), nil
}

// notYAML makes a problem of a parser's error.
func notYAML(err error) *OverlayProblem {
	text := err.Error()
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:\n  "} {
		text = strings.TrimPrefix(text, prefix)
	}
	line, where := 0, ""
	if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
		_, text, _ = strings.Cut(text, ": ")
		where = " at this line or near it"
	}
	text, _, _ = strings.Cut(text, "\n")
	text = strings.NewReplacer("found character that cannot start any token", "a value or key begins with a character that stands for something else; put it into quotes",
		" already set in map", " is set twice").Replace(text)
	return &OverlayProblem{Line: line, Summary: "Overlay not readable", Detail: fmt.Sprintf("The overlay is neither YAML nor JSON%s: %s.", where, text)}
}

// yamlTree gives a JSON value the places of the node that it was made of. What the node does not tell, such as the parts
// of an alias, has the place of what it is a part of.
func yamlTree(v any, node *yamlv3.Node, line int) *tree {
	if node != nil {
		line = node.Line
	}
	t := &tree{at: place{line: line}}
	switch v := v.(type) {
	case map[string]any:
		t.kind = treeObject
		for key, inner := range v {
			k, value := pairOf(node, key)
			m := member{key: key, at: t.at}
			if k != nil {
				m.at.line = k.Line
			}
			m.value = yamlTree(inner, value, m.at.line)
			t.members = append(t.members, m)
		}
		slices.SortFunc(t.members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	case []any:
		t.kind = treeList
		for i, inner := range v {
			var element *yamlv3.Node
			if node != nil && node.Kind == yamlv3.SequenceNode && i < len(node.Content) {
				element = node.Content[i]
			}
			t.list = append(t.list, yamlTree(inner, element, line))
		}
	default:
		t.scalar = v
	}
	return t
}

// pairOf returns the nodes of a key and of its value.
func pairOf(node *yamlv3.Node, name string) (key, value *yamlv3.Node) {
	if node == nil || node.Kind != yamlv3.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}
