package config

import (
	"fmt"
	"slices"
	"strings"
)

// What core owns of a job's pod. Without these it would not find the pod again, not end it, or not see what it does.
var (
	ownedPrefixes   = []string{"app.kubernetes.io/", "opslevel.com/", "runner.podrunner.dev/"}
	ownedKeys       = []string{"mode", "jobID", "accountID", "jobType"}
	ownedContainers = []string{"helper", "init", "job"}
	ownedVolumes    = []string{"tools", "files", "workspace", "inputs", "step-init", "step-job"}
	// ownedPaths are where core's volumes are mounted in a step's container.
	ownedPaths = []string{"/opslevel", "/mount", "/run/runner"}
)

// The fields that core owns, with a sentence on what to do instead.
var (
	ownedMetadata = map[string]string{
		"name":                       "Core names the pod.",
		"generateName":               "Core names the pod.",
		"namespace":                  "Use the setting namespace.",
		"ownerReferences":            "By its owner a pod is removed.",
		"finalizers":                 "The pod could not be removed when the job has ended.",
		"uid":                        "The API server sets it.",
		"resourceVersion":            "The API server sets it.",
		"generation":                 "The API server sets it.",
		"creationTimestamp":          "The API server sets it.",
		"deletionTimestamp":          "The API server sets it.",
		"deletionGracePeriodSeconds": "The API server sets it.",
		"selfLink":                   "The API server sets it.",
		"managedFields":              "The API server sets it.",
	}
	ownedSpec = map[string]string{
		"restartPolicy":                 "A step that is started again would do its work twice.",
		"activeDeadlineSeconds":         "Use the setting lifetime.",
		"terminationGracePeriodSeconds": "Use the setting grace.",
		"ephemeralContainers":           "A pod can't be created with them. Add a container to spec.containers.",
	}
	ownedContainer = map[string]string{
		"command":            "Core runs its helper there, which runs the commands of the job.",
		"args":               "Core runs its helper there, which runs the commands of the job.",
		"image":              "A step's image is that of the job.",
		"stdin":              "A job has no input.",
		"stdinOnce":          "A job has no input.",
		"tty":                "A terminal would mix the two streams of output.",
		"lifecycle":          "Core has hooks of its own there.",
		"restartPolicy":      "A step that is started again would do its work twice.",
		"restartPolicyRules": "A step that is started again would do its work twice.",
	}
	// ownedHelper are the fields of the helper's container beside those.
	ownedHelper = map[string]string{
		"image":           "Use the setting helper_image.",
		"env":             "The helper is told by core what to do.",
		"securityContext": "The helper has the rights that it needs, and no more.",
		"ports":           "Core reaches the helper at a port of its own.",
		"volumeMounts":    "The helper has the volumes that it needs.",
	}
	// ownedTruths are fields of spec that must not be true.
	ownedTruths = map[string]string{
		"shareProcessNamespace": "A step could see and end the helper.",
		"hostPID":               "A step could see and end the helper, and all else on the node.",
	}
	// ownedLists are lists of a step's container to which an overlay may add, and from which it must not take.
	ownedLists = []string{"env", "envFrom", "volumeMounts"}
)

// ownedKey reports whether a label or an annotation is one that core sets.
func ownedKey(key string) bool {
	return slices.Contains(ownedKeys, key) ||
		slices.ContainsFunc(ownedPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// guard collects what an overlay must not say.
type guard struct{ problems []OverlayProblem }

// guardOverlay returns what an overlay says of what core owns.
func guardOverlay(root *tree) []OverlayProblem {
	g := &guard{}
	g.directives(root, "")
	g.keep(root, "")
	for _, m := range root.members {
		switch m.key {
		case "apiVersion":
			g.only(m, "v1")
		case "kind":
			g.only(m, "Pod")
		case "metadata":
			g.metadata(m)
		case "spec":
			g.spec(m)
		case "status":
			g.owned(m.key, m.at, "The cluster sets it.")
		}
	}
	return g.problems
}

// owned says that an overlay must not touch what a path leads to.
func (g *guard) owned(path string, at place, instead string) {
	g.add(path, at, "Owned by core", fmt.Sprintf("An overlay must not set %s. %s", named(path), instead))
}

func (g *guard) add(path string, at place, summary, detail string) {
	g.problems = append(g.problems, OverlayProblem{Path: path, Line: at.line, Summary: summary, Detail: detail})
}

func (g *guard) only(m member, want string) {
	if m.value.scalar != want {
		g.owned(m.key, m.at, fmt.Sprintf("It may be absent, or %q.", want))
	}
}

// directives looks at every directive of a strategic merge patch. An overlay needs none but $patch: what it adds is
// added, what it sets is set.
func (g *guard) directives(t *tree, path string) {
	for i, element := range t.list {
		g.directives(element, fmt.Sprintf("%s[%d]", path, i))
	}
	for _, m := range t.members {
		here := join(path, m.key)
		switch {
		case m.key == "$patch":
			if v := m.value.scalar; v != "merge" && v != "replace" && v != "delete" {
				g.add(here, m.value.at, "Wrong directive", "$patch is one of: delete, merge, replace.")
			}
		case strings.HasPrefix(m.key, "$"):
			g.add(here, m.at, "Directive refused", fmt.Sprintf("An overlay must not hold %s: it could take out what core has set. What an overlay adds needs no directive.", m.key))
		default:
			g.directives(m.value, here)
		}
	}
}

// keep refuses to replace or remove a part as a whole.
func (g *guard) keep(t *tree, path string) {
	if t.null() {
		g.whole(path, t.at, "remove")
	}
	for _, m := range t.members {
		if m.key == "$patch" && m.value.scalar == "replace" {
			g.whole(path, m.at, "replace")
		}
		if m.key == "$patch" && m.value.scalar == "delete" {
			g.whole(path, m.at, "remove")
		}
	}
}

// keepList refuses to replace or remove a list as a whole; its elements are another matter.
func (g *guard) keepList(t *tree, path string) {
	if t.null() {
		g.whole(path, t.at, "remove")
	}
	for _, element := range t.list {
		if directive := element.member("$patch"); directive != nil && directive.scalar == "replace" {
			g.whole(path, directive.at, "replace")
		}
	}
}

// whole says that an overlay must not do something to a part as a whole.
func (g *guard) whole(path string, at place, what string) {
	g.add(path, at, "Owned by core", fmt.Sprintf("An overlay must not %s %s: there is something of core's in it. Set only what is yours.", what, named(path)))
}

func (g *guard) metadata(of member) {
	g.keep(of.value, of.key)
	for _, m := range of.value.members {
		path := join(of.key, m.key)
		if instead, ok := ownedMetadata[m.key]; ok {
			g.owned(path, m.at, instead)
		}
		if m.key != "labels" && m.key != "annotations" {
			continue
		}
		g.keep(m.value, path)
		for _, entry := range m.value.members {
			if ownedKey(entry.key) {
				g.owned(join(path, entry.key), entry.at, "Core finds its pods by it. Choose another key.")
			}
		}
	}
}

func (g *guard) spec(of member) {
	g.keep(of.value, of.key)
	for _, m := range of.value.members {
		path := join(of.key, m.key)
		if instead, ok := ownedSpec[m.key]; ok {
			g.owned(path, m.at, instead)
		}
		if instead, ok := ownedTruths[m.key]; ok && m.value.scalar == true {
			g.owned(path, m.at, instead)
		}
		switch m.key {
		case "volumes":
			g.volumes(m.value, path)
		case "containers":
			g.keepList(m.value, path)
			g.containers(m.value, path)
		case "initContainers":
			g.containers(m.value, path)
		}
	}
}

func (g *guard) volumes(t *tree, path string) {
	g.keepList(t, path)
	for i, element := range t.list {
		here := fmt.Sprintf("%s[%d]", path, i)
		if name, ok := g.name(element, here); ok && slices.Contains(ownedVolumes, name) {
			g.owned(here, element.at, fmt.Sprintf("The volume %q is core's. Give yours another name.", name))
		}
	}
}

// name returns the name of an element, and says so when there is none.
func (g *guard) name(element *tree, path string) (string, bool) {
	if element.kind != treeObject {
		return "", false // the shape is wrong, and that has been said
	}
	if directive := element.member("$patch"); directive != nil && directive.scalar == "replace" {
		return "", false
	}
	if m := element.member("name"); m != nil {
		if name, ok := m.scalar.(string); ok && name != "" {
			return name, true
		}
	}
	g.add(path, element.at, "Missing name", fmt.Sprintf("%s has no name. By its name it is told which one is meant, or that it is a new one.", path))
	return "", false
}

func (g *guard) containers(t *tree, path string) {
	for i, element := range t.list {
		here := fmt.Sprintf("%s[%d]", path, i)
		name, ok := g.name(element, here)
		switch {
		case ok && slices.Contains(ownedContainers, name) && path != "spec.containers":
			g.owned(here, element.at, fmt.Sprintf("The name %q is that of one of core's containers. Choose another one.", name))
		case ok && slices.Contains(ownedContainers, name):
			g.container(element, here, name)
		}
		if mounts := element.member("volumeMounts"); mounts != nil {
			g.mounts(mounts, join(here, "volumeMounts"), slices.Contains(ownedContainers, name))
		}
	}
}

// container guards one of core's own containers.
func (g *guard) container(t *tree, path, name string) {
	g.keep(t, path)
	for _, m := range t.members {
		here := join(path, m.key)
		instead, isOwned := ownedContainer[m.key]
		if name == "helper" && ownedHelper[m.key] != "" {
			instead, isOwned = ownedHelper[m.key], true
		}
		if isOwned {
			g.owned(here, m.at, instead)
			continue
		}
		if !slices.Contains(ownedLists, m.key) {
			continue
		}
		g.keepList(m.value, here)
		for i, element := range m.value.list {
			if directive := element.member("$patch"); directive != nil && directive.scalar == "delete" {
				g.whole(fmt.Sprintf("%s[%d]", here, i), directive.at, "remove")
			}
		}
	}
}

// mounts guards the mounts of a container: no container gets core's volumes, and in core's own nothing hides them.
func (g *guard) mounts(t *tree, path string, own bool) {
	for i, element := range t.list {
		here := fmt.Sprintf("%s[%d]", path, i)
		if m := element.member("name"); m != nil {
			if name, ok := m.scalar.(string); ok && slices.Contains(ownedVolumes, name) {
				g.owned(here, element.at, fmt.Sprintf("The volume %q is core's.", name))
			}
		}
		if m := element.member("mountPath"); own && m != nil {
			if at, ok := m.scalar.(string); ok && belowAny(at, ownedPaths) {
				g.owned(join(here, "mountPath"), m.at, "Core has its own volume there. Mount yours somewhere else.")
			}
		}
	}
}
