package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/podrunner/runner/core/internal/executor"
	"github.com/podrunner/runner/core/internal/job"
)

// invalidJob says that a job can't be carried by objects of the cluster.
type invalidJob struct{ err error }

func (e *invalidJob) Error() string { return e.err.Error() }

// passing marks an error as one that passes.
type passing struct{ err error }

func (e *passing) Error() string { return e.err.Error() }

// passes tells whether what failed may succeed when it is tried again.
func passes(err error) bool {
	var p *passing
	var netErr net.Error
	switch {
	case errors.As(err, &p):
		return true
	case apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), apierrors.IsConflict(err):
		return !admission(err)
	case utilnet.IsConnectionRefused(err), utilnet.IsConnectionReset(err), utilnet.IsProbableEOF(err), utilnet.IsHTTP2ConnectionLost(err),
		errors.As(err, &netErr), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return false
}

// admission tells whether an error comes from an admission webhook that could not be asked or that failed: the API server
// makes an internal error of that, which does not pass within a job's patience as a rule.
func admission(err error) bool { return strings.Contains(err.Error(), "failed calling webhook") }

var (
	quota          = regexp.MustCompile(`exceeded quota|failed quota`)
	noNamespace    = regexp.MustCompile(`namespaces "[^"]*" not found`)
	goingNamespace = regexp.MustCompile(`because it is being terminated`)
	lacksRight     = regexp.MustCompile(`User "[^"]*" cannot ([a-z]+) resource "([^"]*)"(?: in API group "([^"]*)")?(?: in the namespace "([^"]*)")?`)
	refusedByRule  = regexp.MustCompile(`denied the request|violates PodSecurity|is forbidden: |ValidatingAdmissionPolicy|failed calling webhook|admission webhook`)
)

// refusal is the result of a job whose objects could not be made.
func refusal(err error, namespace string) executor.Result {
	res := executor.Result{Outcome: job.Failed, Reason: job.ReasonInfrastructure, Message: "the job's pod could not be made: " + err.Error()}
	text := err.Error()
	var invalid *invalidJob
	switch {
	case errors.As(err, &invalid):
		res.Reason, res.Message = job.ReasonInvalidJob, text
	case noNamespace.MatchString(text):
		res.Reason, res.Message = job.ReasonNamespace, fmt.Sprintf("there is no namespace %q", namespace)
	case goingNamespace.MatchString(text):
		res.Reason, res.Message = job.ReasonNamespace, fmt.Sprintf("the namespace %q is being deleted", namespace)
	case lacksRight.MatchString(text):
		m := lacksRight.FindStringSubmatch(text)
		what := m[2]
		if m[3] != "" {
			what += "." + m[3]
		}
		res.Reason = job.ReasonForbidden
		res.Message = fmt.Sprintf("core's account may not %s %s in the namespace %q: %s", m[1], what, namespace, text)
	case quota.MatchString(text):
		res.Reason, res.Message = job.ReasonQuota, text
	case apierrors.IsForbidden(err), refusedByRule.MatchString(text):
		res.Reason, res.Message = job.ReasonAdmission, text
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		res.Reason, res.Message = invalidReason(text), text
	}
	res.Outcome = res.Reason.Info().Outcome
	return res
}

// invalidReason says what an object is refused for that does not fit the API's rules: an image that is none, or something
// else of what the job or the settings say.
func invalidReason(text string) job.Reason {
	if strings.Contains(text, ".image: ") {
		return job.ReasonImageInvalid
	}
	return job.ReasonInvalidJob
}
