package kubernetes

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/podrunner/runner/core/internal/job"
)

// Labels and annotations of a job's objects, and of a runner's Lease. docs/kubernetes.md lists them.
const (
	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelOrigin    = "runner.podrunner.dev/origin"

	labelMode      = "opslevel.com/mode"
	labelJobID     = "opslevel.com/job-id"
	labelAccountID = "opslevel.com/account-id"
	labelJobType   = "opslevel.com/job-type"

	annotationRunner    = "runner.podrunner.dev/runner"
	annotationPipeline  = "runner.podrunner.dev/pipeline"
	annotationSource    = "runner.podrunner.dev/source"
	annotationJobID     = "runner.podrunner.dev/job-id"
	annotationAttempt   = "runner.podrunner.dev/attempt"
	annotationDelivered = "runner.podrunner.dev/delivered"
	annotationInstance  = "runner.podrunner.dev/instance"
	annotationNumber    = "runner.podrunner.dev/number"
	annotationHandle    = "runner.podrunner.dev/handle"
	annotationProgress  = "runner.podrunner.dev/progress"
	annotationOutcome   = "runner.podrunner.dev/outcome"

	annotationSafeToEvict  = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	annotationDoNotDisrupt = "karpenter.sh/do-not-disrupt"
)

// leaseName is the name of a runner's Lease: the same for the same runner, so that one that is started anew finds its own.
func leaseName(source, runner string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + runner))
	return leaseApp + "-" + hex.EncodeToString(sum[:])[:2*hashDigits]
}

// leaseApp is the value of labelName of a runner's Lease, and how its name begins.
const leaseApp = "opslevel-job-runner"

// appName is the value of labelName, and, with a dash, how the names of all objects begin.
const appName = "opslevel-job"

// shortLabels are labels that say the same under a short name, for people who filter by hand.
var shortLabels = map[string]string{labelMode: "mode", labelJobID: "jobID", labelAccountID: "accountID", labelJobType: "jobType"}

const (
	// maxLabel is the most that a label value, and a name that is used as one, may have.
	maxLabel = 63
	// hashDigits is how much of a hash goes into a name: 2^40 values, so that two jobs that live at once don't share one.
	hashDigits = 10
	// gidPrefix is what the ids of the OpsLevel API say of a job.
	gidPrefix = "gid://opslevel/Runners::JobRun/"
)

// objectName is the name of a job's objects: the same for the same job, so that a job that is handed out twice finds its
// pod.
func objectName(source, id string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + id))
	hash := hex.EncodeToString(sum[:])[:hashDigits]
	number := dnsLabel(jobNumber(id))
	room := maxLabel - len(appName) - len(hash) - 2
	if len(number) > room {
		number = strings.Trim(number[:room], "-")
	}
	if number == "" {
		return appName + "-" + hash
	}
	return appName + "-" + number + "-" + hash
}

// jobNumber is the number of a job of the OpsLevel API, whose ids are base64 of a URL that ends with it; any other id is
// its own number, also one that happens to be base64 of something.
func jobNumber(id string) string {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(id, "="))
	if err != nil {
		return id
	}
	if number, ok := strings.CutPrefix(string(text), gidPrefix); ok && number != "" {
		return number
	}
	return id
}

// dnsLabel makes a part of a name (RFC 1123) of a text.
func dnsLabel(text string) string {
	return strings.Trim(replace(strings.ToLower(text), func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
	}), "-")
}

// labelValue makes the value of a label of a text.
func labelValue(text string) string {
	value := replace(text, func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_'
	})
	return strings.Trim(value[:min(len(value), maxLabel)], "-._")
}

// replace puts a dash in the place of each rune that is not good.
func replace(text string, good func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if good(r) {
			return r
		}
		return '-'
	}, text)
}

// managedBy is the value of labelManagedBy for a runner.
func managedBy(runner string) string { return labelValue("runner-" + runner) }

// labels are those of a job's objects.
func (o *objects) labels() map[string]string {
	labels := map[string]string{}
	for key, value := range o.settings.Labels {
		labels[key] = value
	}
	labels[labelName] = appName
	labels[labelInstance] = o.name
	labels[labelManagedBy] = managedBy(o.runner)
	labels[labelOrigin] = labelValue(o.source)
	for key, value := range map[string]string{
		labelMode:      o.mode,
		labelJobID:     jobNumber(o.job.ID),
		labelAccountID: plainVariable(o.job, "ACCOUNT_ID"),
		labelJobType:   plainVariable(o.job, "JOB_TYPE"),
	} {
		if value = labelValue(value); value != "" {
			labels[key], labels[shortLabels[key]] = value, value
		}
	}
	return labels
}

// plainVariable is the value of a variable of the job that may be shown; empty when there is none.
func plainVariable(j *job.Job, key string) string {
	value := ""
	for _, v := range j.Variables {
		if v.Key == key {
			if value = v.Value; v.Sensitive || holdsSecret(j, value) {
				value = ""
			}
		}
	}
	return value
}
