package config

import (
	"path/filepath"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/podrunner/runner/core/internal/diag"
	pluginv1 "github.com/podrunner/runner/sdk/proto/runner/plugin/v1"
)

// Scaling is how runners that are the pods of one Deployment see to it that there are as many of them as their sources
// have work for.
type Scaling struct {
	Enabled bool `json:"enabled"`
	// Pod is the name of the pod that this runner is in: its identity among the others. Never "" when Enabled is set.
	Pod string `json:"pod"`
	// Namespace is where the pod, the Deployment and the Lease are.
	Namespace string `json:"namespace"`
	// Deployment is the name of the Deployment, and of the Lease that says who scales it.
	Deployment string `json:"deployment"`
	// MinReplicas and MaxReplicas bound the number of runners. When they contradict each other MinReplicas wins.
	MinReplicas int `json:"min_replicas"`
	MaxReplicas int `json:"max_replicas"`
	// Interval is the time between two questions to the sources.
	Interval time.Duration `json:"interval"`
	// ConcurrencyFactor is how many jobs there are to be for each slot of a runner before there is another runner.
	ConcurrencyFactor int `json:"concurrency_factor"`
	// Kubeconfig and Context are as in Kubernetes: the cluster that the runner itself is in.
	Kubeconfig string `json:"kubeconfig"`
	Context    string `json:"context"`
	// Range is the block's header.
	Range diag.Range `json:"-"`
}

// maxReplicas keeps a slip of the finger from filling a cluster with runners.
const maxReplicas = 10_000

var scalingSettings = settings{arguments: []argument{
	attribute("enabled", pluginv1.Kind_KIND_BOOL, nil),
	attribute("pod", pluginv1.Kind_KIND_STRING, podName),
	attribute("namespace", pluginv1.Kind_KIND_STRING, dnsLabel),
	attribute("deployment", pluginv1.Kind_KIND_STRING, dnsName),
	attribute("min_replicas", pluginv1.Kind_KIND_INT, between(1, maxReplicas, decimal)),
	attribute("max_replicas", pluginv1.Kind_KIND_INT, between(1, maxReplicas, decimal)),
	attribute("interval", pluginv1.Kind_KIND_DURATION, between(int64(time.Second), int64(24*time.Hour), durationText)),
	attribute("concurrency_factor", pluginv1.Kind_KIND_INT, between(1, 10_000, decimal)),
	attribute("kubeconfig", pluginv1.Kind_KIND_STRING, kubeconfig),
	attribute("context", pluginv1.Kind_KIND_STRING, notEmpty),
}}

// defaultScaling is that of opslevel-runner.
func defaultScaling() Scaling {
	return Scaling{
		Namespace: "default", Deployment: "runner", MinReplicas: 1, MaxReplicas: 10,
		Interval: time.Minute, ConcurrencyFactor: 100,
	}
}

func (l *loader) scaling(blocks []*hclsyntax.Block) {
	l.config.Scaling = defaultScaling()
	block := l.single(blocks)
	if block == nil {
		return
	}
	l.source.labels(block, 0, &l.diags)
	s, found := &l.config.Scaling, len(l.diags)
	s.Range = l.source.rng(block.DefRange())
	values, _ := l.settings(block, scalingSettings, s)
	if path, given := values["kubeconfig"].(string); given && !filepath.IsAbs(path) {
		s.Kubeconfig = filepath.Join(l.dir, path)
	}
	if len(l.diags) > found {
		return // what follows would be about values that were not read
	}
	if s.Enabled && s.Pod == "" {
		l.add(l.source.errorAt(attributeRange(block, "pod"), "No identity",
			"Runners that scale need the name of their pod, by which they know each other. Write pod = env(\"RUNNER_POD_NAME\"), and give the "+
				"container this variable with valueFrom: { fieldRef: { fieldPath: metadata.name } }."))
	}
	if s.MaxReplicas < s.MinReplicas {
		l.add(l.source.warningAt(attributeRange(block, "max_replicas"), "Bounds at odds",
			"max_replicas is below min_replicas, so there are always min_replicas runners. Raise the one, or lower the other."))
	}
}

// podName takes the name of a pod, or nothing: outside of a cluster there is none.
func podName(v any) string {
	if v == "" {
		return ""
	}
	return dnsName(v)
}
