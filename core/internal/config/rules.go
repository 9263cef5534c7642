package config

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The rules of Kubernetes for names, in words for people; Kubernetes' own are regular expressions.

// dnsLabel takes the name of a namespace or of a volume.
func dnsLabel(v any) string {
	if text, ok := v.(string); ok && len(validation.IsDNS1123Label(text)) == 0 {
		return ""
	}
	return "It is 1 to 63 lower-case letters, digits and dashes, with a letter or digit at either end."
}

// dnsName takes the name of most other things.
func dnsName(v any) string {
	if text, ok := v.(string); ok && len(validation.IsDNS1123Subdomain(text)) == 0 {
		return ""
	}
	return "It is 1 to 253 lower-case letters, digits, dashes and dots, with a letter or digit at either end and beside each dot."
}

const keyRule = "It is 1 to 63 letters, digits, dashes, underscores and dots, with a letter or digit at either end; a domain and a slash may stand before, as in example.com/team."

// labelKey takes the key of a node's label.
func labelKey(key string) string {
	if len(validation.IsQualifiedName(key)) == 0 {
		return ""
	}
	return keyRule
}

// ownLabelKey takes the key of a label that a user gives to pods.
func ownLabelKey(key string) string {
	if ownedKey(key) {
		return "Core sets it itself. Its own begin with " + strings.Join(ownedPrefixes, ", ") + " or are one of: " + joinNames(ownedKeys) + "."
	}
	return labelKey(key)
}

// ownAnnotationKey takes the key of an annotation that a user gives to pods; Kubernetes looks at its small letters.
func ownAnnotationKey(key string) string {
	if ownedKey(key) {
		return ownLabelKey(key)
	}
	return labelKey(strings.ToLower(key))
}

// labelValue takes the value of a label.
func labelValue(v any) string {
	if text, ok := v.(string); ok && len(validation.IsValidLabelValue(text)) == 0 {
		return ""
	}
	return "It is at most 63 letters, digits, dashes, underscores and dots, with a letter or digit at either end."
}

// image takes the name of an image, as far as every registry agrees on it.
func image(v any) string {
	if text, ok := v.(string); ok && text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return ""
	}
	return "It is the name of an image, such as registry.example.com/runner-helper:1.2, without spaces."
}

// kubeconfig takes the path of a file.
func kubeconfig(v any) string {
	text, ok := v.(string)
	switch {
	case !ok || text == "" || strings.ContainsRune(text, 0):
		return "It is the path of a file. Leave it out to have KUBECONFIG, ~/.kube/config or the account of core's own pod."
	case strings.HasPrefix(text, "~"):
		return "Nothing puts a home folder in place of ~. Write \"${env(\"HOME\")}/…\"; ~/.kube/config is found without this setting."
	}
	return ""
}

// workdir takes the place of a job's working directory in a step's container.
func workdir(v any) string {
	if wrong := absolute(v); wrong != "" {
		return wrong
	}
	if text, _ := v.(string); belowAny(text, ownedPaths) {
		return "It must not be in " + strings.Join(ownedPaths, ", ") + ": the job's files, core's tools and its records are there."
	}
	return ""
}

// belowAny reports whether a path is one of some folders, or below one.
func belowAny(at string, folders []string) bool {
	at = path.Clean(at)
	for _, folder := range folders {
		folder = path.Clean(folder)
		if at == folder || strings.HasPrefix(at, folder+"/") {
			return true
		}
	}
	return false
}
