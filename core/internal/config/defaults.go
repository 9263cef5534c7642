package config

import (
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podrunner/runner/core/internal/diag"
	"github.com/podrunner/runner/core/internal/spool"
)

// defaultPipeline is the name of the pipeline that is meant when nobody names one.
const defaultPipeline = "default"

// Builtin returns the configuration of a machine with no runner.hcl: it finds outcome variables and masks secrets.
func Builtin() *Config {
	s := &source{scope: newScope(".")}
	return &Config{
		Runner:    defaultRunner(),
		Telemetry: defaultTelemetry(),
		Scaling:   defaultScaling(),
		source:    s,
		Pipelines: []*Pipeline{{
			Name: defaultPipeline,
			Processors: []*Processor{
				{Use: Use{Name: "outcome", source: s}, OnError: OnErrorFail},
				{Use: Use{Name: "sanitize", source: s}, OnError: OnErrorFail},
			},
			Deliver:    defaultDeliver(),
			Kubernetes: defaultKubernetes(),
			Local:      defaultLocal(),
		}},
	}
}

// builtinText is Builtin, written out.
const builtinText = `pipeline "default" {
  processor "outcome" {}
  processor "sanitize" {}
}
`

// BuiltinWith returns Builtin with overrides. The Config is nil when there are errors.
func BuiltinWith(overrides ...Override) (*Config, diag.Diagnostics) {
	if len(overrides) == 0 {
		return Builtin(), nil
	}
	c, diags := parse(&diag.File{Name: "the built-in configuration", Text: []byte(builtinText)}, overrides...)
	if c != nil {
		c.Path = ""
	}
	return c, diags
}

func defaultRunner() Runner {
	// A host with no name is still a host; the name serves people only.
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "runner"
	}
	return Runner{Name: name, Concurrency: 3, DrainTimeout: 10 * time.Minute}
}

func defaultDeliver() Deliver {
	return Deliver{MaxBytes: 1_000_000, MaxInterval: 30 * time.Second, GiveUp: time.Hour}
}

// DefaultHelperImage is the image of the helper container when no setting names one. The build sets it, since the helper
// has to be of the same version as core; see HELPER_IMAGE in the Makefile.
var DefaultHelperImage = "localhost/runner-helper:dev"

// defaultKubernetes returns the settings of the executor "kubernetes" before anyone has said anything. No two calls
// share a map.
func defaultKubernetes() Kubernetes {
	return Kubernetes{
		QPS:   50,
		Burst: 100,
		// The API server answers in milliseconds, or not at all; and what is not answered is asked again.
		RequestTimeout:   15 * time.Second,
		Transport:        "auto",
		StartTimeout:     time.Minute,
		Lifetime:         time.Hour,
		Grace:            5 * time.Second,
		Shell:            "/bin/sh",
		Workdir:          "/jobs",
		XTrace:           true,
		SpoolSize:        spool.DefaultBytes,
		HelperImage:      DefaultHelperImage,
		HelperPullPolicy: corev1.PullIfNotPresent,
		// What it stores is bounded by spool_size, so only the executor can tell the limit of its ephemeral storage.
		HelperResources: corev1.ResourceRequirements{
			Requests: quantities("cpu", "10m", "memory", "32Mi", "ephemeral-storage", "16Mi"),
			Limits:   quantities("cpu", "1", "memory", "128Mi"),
		},
		PullPolicy: corev1.PullIfNotPresent,
		Resources: corev1.ResourceRequirements{
			Requests: quantities("cpu", "1", "memory", "1Gi", "ephemeral-storage", "64Mi"),
			Limits:   quantities("cpu", "1", "memory", "1Gi", "ephemeral-storage", "26Gi"),
		},
	}
}

// quantities makes a list of resources of names and quantities in turn.
func quantities(in ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(in); i += 2 {
		out[corev1.ResourceName(in[i])] = resource.MustParse(in[i+1])
	}
	return out
}

func defaultLocal() Local {
	return Local{
		Shell:    "/bin/sh",
		Workdir:  "/jobs",
		Lifetime: time.Hour,
		XTrace:   true,
		Grace:    3 * time.Second,
	}
}
