package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/podrunner/runner/core/internal/job"
)

var podResource = schema.GroupResource{Resource: "pods"}

func says(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

// TestRefusal has what API servers say, word for word.
func TestRefusal(t *testing.T) {
	forbidden := func(why string) error { return apierrors.NewForbidden(podResource, "opslevel-job-1", errors.New(why)) }
	for _, c := range []struct {
		name    string
		err     error
		reason  job.Reason
		message string
		passes  bool
	}{
		{
			"quota", forbidden("exceeded quota: jobs, requested: requests.cpu=1, used: requests.cpu=4, limited: requests.cpu=4"),
			job.ReasonQuota, "used: requests.cpu=4", false,
		},
		{"quota wants limits", forbidden("failed quota: jobs: must specify limits.cpu for: helper"), job.ReasonQuota, "must specify", false},
		{
			"pod security", forbidden(`violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "job" must set securityContext.allowPrivilegeEscalation=false)`),
			job.ReasonAdmission, `container "job" must set`, false,
		},
		{
			"a limit range", forbidden("maximum memory usage per Container is 512Mi, but limit is 1Gi"), job.ReasonAdmission, "maximum memory usage", false,
		},
		{
			"a service account that is missing", forbidden(`error looking up service account jobs/ci: serviceaccount "ci" not found`), job.ReasonAdmission, "service account", false,
		},
		{
			"a policy", forbidden("ValidatingAdmissionPolicy 'images' with binding 'images' denied request: only our registry"),
			job.ReasonAdmission, "only our registry", false,
		},
		{
			"a webhook denies", says(400, metav1.StatusReasonBadRequest, `admission webhook "validate.example.com" denied the request: no latest tag`),
			job.ReasonAdmission, "no latest tag", false,
		},
		{
			"a webhook can't be reached",
			apierrors.NewInternalError(errors.New(`failed calling webhook "validate.example.com": failed to call webhook: Post "https://x.y.svc:443/?timeout=10s": dial tcp 10.0.0.1:443: connect: connection refused`)),
			job.ReasonAdmission, "validate.example.com", false,
		},
		{
			"a webhook is slow",
			apierrors.NewInternalError(errors.New(`failed calling webhook "validate.example.com": failed to call webhook: Post "https://x.y.svc:443/?timeout=10s": context deadline exceeded`)),
			job.ReasonAdmission, "validate.example.com", false,
		},
		{
			"a right", apierrors.NewForbidden(podResource, "", errors.New(`User "system:serviceaccount:jobs:runner" cannot create resource "pods" in API group "" in the namespace "jobs"`)),
			job.ReasonForbidden, `core's account may not create pods in the namespace "jobs": `, false,
		},
		{
			"a right in a group", apierrors.NewForbidden(schema.GroupResource{Group: "policy", Resource: "poddisruptionbudgets"}, "", errors.New(
				`User "runner" cannot create resource "poddisruptionbudgets" in API group "policy" in the namespace "jobs"`)),
			job.ReasonForbidden, `may not create poddisruptionbudgets.policy in the namespace "jobs"`, false,
		},
		{"a namespace", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "jobs"), job.ReasonNamespace, `no namespace "jobs"`, false},
		{
			"a namespace that goes", apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", errors.New(
				"unable to create new content in namespace jobs because it is being terminated")),
			job.ReasonNamespace, `the namespace "jobs" is being deleted`, false,
		},
		{
			"an image", apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), "x", field.ErrorList{
				field.Invalid(field.NewPath("spec", "containers").Index(1).Child("image"), " a", "must not have leading or trailing whitespace"),
			}), job.ReasonImageInvalid, "spec.containers[1].image: ", false,
		},
		{
			"something else", apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), "x", field.ErrorList{
				field.Required(field.NewPath("spec", "volumes").Index(3).Child("name"), ""),
			}), job.ReasonInvalidJob, "spec.volumes[3].name", false,
		},
		{
			"too large", apierrors.NewRequestEntityTooLargeError("limit is 3145728"), job.ReasonInvalidJob, "limit is 3145728", false,
		},
		{"what can't be carried", &invalidJob{errors.New("the commands are not UTF-8")}, job.ReasonInvalidJob, "the commands are not UTF-8", false},
		{"credentials", apierrors.NewUnauthorized("Unauthorized"), job.ReasonInfrastructure, "Unauthorized", false},
		{"the end", context.Canceled, job.ReasonInfrastructure, "canceled", false},

		{"too many requests", apierrors.NewTooManyRequests("slow down", 1), job.ReasonInfrastructure, "slow down", true},
		{"a server timeout", apierrors.NewServerTimeout(podResource, "create", 1), job.ReasonInfrastructure, "could not be made", true},
		{"a timeout", apierrors.NewTimeoutError("x", 1), job.ReasonInfrastructure, "could not be made", true},
		{"not available", apierrors.NewServiceUnavailable("x"), job.ReasonInfrastructure, "could not be made", true},
		{"etcd", apierrors.NewInternalError(errors.New("etcdserver: leader changed")), job.ReasonInfrastructure, "leader changed", true},
		{"a conflict", apierrors.NewConflict(podResource, "x", errors.New("x")), job.ReasonInfrastructure, "could not be made", true},
		{"cut off", &url.Error{Op: "Post", URL: "https://x", Err: io.ErrUnexpectedEOF}, job.ReasonInfrastructure, "unexpected EOF", true},
		{"no answer", context.DeadlineExceeded, job.ReasonInfrastructure, "deadline", true},
		{"an earlier run", &passing{errors.New("is still being deleted")}, job.ReasonInfrastructure, "still being deleted", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, err := range map[string]error{"plain": c.err, "wrapped": fmt.Errorf("create the job's pod: %w", c.err)} {
				res := refusal(err, "jobs")
				if res.Reason != c.reason || !strings.Contains(res.Message, c.message) {
					t.Errorf("%s: got the reason %q, %q; want %q, and in the message %q", name, res.Reason, res.Message, c.reason, c.message)
				}
				if res.Outcome != c.reason.Info().Outcome || res.Outcome == job.Success {
					t.Errorf("%s: the outcome is %q", name, res.Outcome)
				}
				if got := passes(err); got != c.passes {
					t.Errorf("%s: passes is %v", name, got)
				}
			}
		})
	}
}
