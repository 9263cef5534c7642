package config

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// vocabularies are the values of those types of Kubernetes' API that are texts by name only. Without them a slip would
// come to light with the first job.
var vocabularies = map[reflect.Type][]string{
	reflect.TypeFor[corev1.TolerationOperator]():            {"Equal", "Exists"},
	reflect.TypeFor[corev1.TaintEffect]():                   {"NoSchedule", "PreferNoSchedule", "NoExecute"},
	reflect.TypeFor[corev1.UnsatisfiableConstraintAction](): {"DoNotSchedule", "ScheduleAnyway"},
	reflect.TypeFor[corev1.NodeInclusionPolicy]():           {"Honor", "Ignore"},
	reflect.TypeFor[corev1.NodeSelectorOperator]():          {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"},
	reflect.TypeFor[metav1.LabelSelectorOperator]():         {"In", "NotIn", "Exists", "DoesNotExist"},
	reflect.TypeFor[corev1.PullPolicy]():                    pullPolicies,
	reflect.TypeFor[corev1.DNSPolicy]():                     dnsPolicies,
	reflect.TypeFor[corev1.PodFSGroupChangePolicy]():        {"Always", "OnRootMismatch"},
	reflect.TypeFor[corev1.SeccompProfileType]():            {"Unconfined", "RuntimeDefault", "Localhost"},
	reflect.TypeFor[corev1.Protocol]():                      {"TCP", "UDP", "SCTP"},
}

var (
	pullPolicies = []string{string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)}
	dnsPolicies  = []string{string(corev1.DNSClusterFirst), string(corev1.DNSClusterFirstWithHostNet), string(corev1.DNSDefault), string(corev1.DNSNone)}
)

var resourceListType = reflect.TypeFor[corev1.ResourceList]()

// resourceNames are the resources of Kubernetes itself; all others have a domain and a slash before their name.
var resourceNames = []string{"cpu", "memory", "ephemeral-storage", "storage"}

// knownResource reports whether a resource can be asked for.
func knownResource(name string) bool {
	for _, known := range resourceNames {
		if name == known {
			return true
		}
	}
	return strings.HasPrefix(name, "hugepages-") || strings.Contains(name, "/")
}
