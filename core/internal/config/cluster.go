package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	corev1 "k8s.io/api/core/v1"
)

// cluster is the settings of the executor "kubernetes" while a file is read: those of a block `kubernetes`, over those of
// an outer one, over the defaults.
type cluster struct {
	settings Kubernetes
	// places are where the settings and their parts stand, by path; defaults have none.
	places map[string]hcl.Range
}

// clone returns a copy to which an inner block can add. Only what is merged needs to be copied: all else is replaced.
func (c cluster) clone() cluster {
	k := c.settings
	k.Labels, k.Annotations, k.NodeSelector = maps.Clone(k.Labels), maps.Clone(k.Annotations), maps.Clone(k.NodeSelector)
	k.Tools = maps.Clone(k.Tools)
	k.Resources, k.HelperResources = *k.Resources.DeepCopy(), *k.HelperResources.DeepCopy()
	return cluster{settings: k, places: maps.Clone(c.places)}
}

// kubernetesDefaults puts what the block `kubernetes` of a body says into dst.
func (l *loader) kubernetesDefaults(body *hclsyntax.Body, dst *cluster) {
	block := l.single(blocksOf(body, "kubernetes"))
	if block == nil {
		return
	}
	l.source.labels(block, 0, &l.diags)
	if attr := block.Body.Attributes["pod_overlay"]; attr != nil {
		l.source.hideOverlay(attr.Expr)
	}
	values, places := l.settings(block, kubernetesSettings, &dst.settings)
	maps.Copy(dst.places, places)
	if path, given := values["kubeconfig"].(string); given && !filepath.IsAbs(path) {
		dst.settings.Kubeconfig = filepath.Join(l.dir, path)
	}
	remove(&dst.settings.Resources, values["resources"])
	remove(&dst.settings.HelperResources, values["helper_resources"])
	if text, given := values["pod_overlay"].(string); given {
		dst.settings.PodOverlay = l.overlay(text, block.Body.Attributes["pod_overlay"].Expr)
	}
}

// remove takes out of r what a block has given as null.
func remove(r *corev1.ResourceRequirements, values any) {
	given, _ := values.(map[string]any)
	for key, list := range map[string]corev1.ResourceList{"requests": r.Requests, "limits": r.Limits} {
		entries, _ := given[key].(map[string]any)
		for name, quantity := range entries {
			if quantity == nil {
				delete(list, corev1.ResourceName(name))
			}
		}
	}
}

// checkCluster checks what only several settings together can get wrong. It looks at what a pipeline ends up with, so
// that a pipeline can mend what stands at the top level. What several pipelines lead to is told once; see
// diag.Diagnostics.Sorted.
func (l *loader) checkCluster(c cluster) {
	l.checkPrivileges(c)
	l.checkRequests(c, "resources", c.settings.Resources, defaultKubernetes().Resources)
	l.checkRequests(c, "helper_resources", c.settings.HelperResources, defaultKubernetes().HelperResources)
	l.checkVolumes(c)
}

func (l *loader) checkPrivileges(c cluster) {
	if !c.settings.AgentMode || c.settings.PodSecurity == "" {
		return
	}
	l.add(l.source.errorAt(c.places["pod_security"], "Settings at odds", fmt.Sprintf(
		"The level %q does not allow what agent_mode at %s asks for: steps that are privileged and run as root. Remove one of the two.",
		c.settings.PodSecurity, l.source.rng(c.places["agent_mode"]))))
}

// checkRequests reports requests above their limits.
func (l *loader) checkRequests(c cluster, name string, r, defaults corev1.ResourceRequirements) {
	for _, resource := range slices.Sorted(maps.Keys(r.Requests)) {
		request, limit := r.Requests[resource], r.Limits[resource]
		if _, limited := r.Limits[resource]; !limited || request.Cmp(limit) <= 0 {
			continue
		}
		requestAt, requested := c.places[join(name+".requests", string(resource))]
		limitAt, limited := c.places[join(name+".limits", string(resource))]
		// Values are not printed, they may be of the environment; the defaults are known to everyone.
		requestIs, limitIs := fmt.Sprintf("The request for %q", resource), fmt.Sprintf("the limit at %s", l.source.rng(limitAt))
		advice := "Lower the request, or raise the limit."
		if !limited {
			limit := defaults.Limits[resource]
			limitIs, advice = fmt.Sprintf("the limit, which is %s by default", limit.String()), "Lower the request, or give a limit."
		}
		if !requested {
			request := defaults.Requests[resource]
			requestIs, advice = fmt.Sprintf("%s, which is %s by default,", requestIs, request.String()), "Give a request, or raise the limit."
			requestAt, limitIs = limitAt, "this limit"
		}
		l.add(l.source.errorAt(requestAt, "Request above the limit", fmt.Sprintf("%s is above %s. %s", requestIs, limitIs, advice)))
	}
}

// checkVolumes reports volumes and mounts that would get into the way of core's own.
func (l *loader) checkVolumes(c cluster) {
	seen := map[string]hcl.Range{}
	for i, volume := range c.settings.Volumes {
		at := c.places[fmt.Sprintf("volumes[%d].name", i)]
		wrong := dnsLabel(volume.Name)
		if first, twice := seen[volume.Name]; twice {
			wrong = fmt.Sprintf("There is one of this name at %s already.", l.source.rng(first))
		}
		if slices.Contains(ownedVolumes, volume.Name) {
			wrong = "A volume of this name is core's own. Choose another one."
		}
		seen[volume.Name] = at
		if wrong != "" {
			l.add(l.source.errorAt(at, "Wrong value", "A volume can't have this name. "+wrong))
		}
	}
	for i, mount := range c.settings.VolumeMounts {
		path := fmt.Sprintf("volume_mounts[%d]", i)
		if slices.Contains(ownedVolumes, mount.Name) {
			l.add(l.source.errorAt(c.places[path+".name"], "Wrong value", "A volume of this name is core's own. Mount one of those in volumes."))
		}
		if wrong := l.mountPath(mount.MountPath, c.settings.Workdir); wrong != "" {
			l.add(l.source.errorAt(c.places[path+".mountPath"], "Wrong value", "A volume can't be mounted here. "+wrong))
		}
	}
}

// mountPath says what is wrong with the place of a volume in a step's container.
func (l *loader) mountPath(at, workdir string) string {
	switch {
	case absolute(at) != "":
		return "It is an absolute path, such as /var/cache/build."
	case belowAny(at, append([]string{workdir}, ownedPaths...)):
		return fmt.Sprintf("%s and %s belong to the job itself, and what is below them.", strings.Join(ownedPaths, ", "), "the workdir")
	}
	return ""
}

// overlay parses the text of a setting; nil when it says nothing or is wrong.
func (l *loader) overlay(text string, expr hclsyntax.Expression) []byte {
	patch, problems := ParseOverlay([]byte(text))
	for _, p := range problems {
		at, written := l.source.lineOf(expr, p.Line)
		detail := p.Detail
		if !written && p.Line > 0 {
			detail = fmt.Sprintf("Line %d of the overlay: %s", p.Line, detail)
		}
		l.add(l.source.errorAt(at, p.Summary, l.source.scope.mask(detail, nil)))
	}
	return patch
}
