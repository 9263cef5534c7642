package kubernetes

import (
	"encoding/base64"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/record"
	"github.com/podrunner/runner/core/internal/tool"
)

// Containers of a job's pod, beside those of the steps, which are named after their steps.
const helperContainer = "helper"

// Volumes of a job's pod, and where they are mounted.
const (
	volumeTools     = "tools"
	volumeFiles     = "files"
	volumeWorkspace = "workspace"
	volumeInputs    = "inputs"

	toolsDir  = "/mount"
	filesDir  = "/opslevel"
	inputsDir = "/run/runner/inputs"
	// outcomeName is the name of a step's outcome file, in a directory of its own.
	outcomeName = "variables"
	// stepsDir is where the helper has the steps' directories, stepDir where a step has its own.
	stepsDir = "/run/runner/steps"
	stepDir  = "/run/runner/step"
)

func stepVolume(step string) string { return "step-" + step }

const (
	// helperInImage is the helper in its own image, helperInPod where it is installed for the steps.
	helperInImage = "/runner-helper"
	helperInPod   = toolsDir + "/runner-helper"
	// agentPort is where the helper listens. The steps share the pod's network, so it is one that few programs want.
	agentPort = 23517
	// nonRoot is the user of the helper, and of the steps of a restricted pod that names none.
	nonRoot = 65532
	// shippingTime is what a pod has, beyond the lifetime of its job, to have its log fetched: a pod that nobody fetches
	// from ends with it.
	shippingTime = 10 * time.Minute
	// tailTime is what the helper has, after the job's grace, to have the end of the log fetched when the cluster ends the
	// pod.
	tailTime = 5 * time.Second
)

// pod makes the pod. The error is about the overlay.
func (o *objects) pod(p payload, owner types.UID) (*corev1.Pod, error) {
	steps := o.steps()
	pod := &corev1.Pod{ObjectMeta: o.meta(owner), Spec: o.spec()}
	pod.Annotations = o.annotations()
	pod.Spec.Containers = []corev1.Container{o.helper(steps)}
	pod.Spec.Volumes = []corev1.Volume{
		emptyDir(volumeTools), emptyDir(volumeWorkspace), o.files(p), o.inputs(p, steps),
	}
	for i, s := range steps {
		pod.Spec.Containers = append(pod.Spec.Containers, o.container(s, i == len(steps)-1))
		pod.Spec.Volumes = append(pod.Spec.Volumes, emptyDir(stepVolume(s.name)))
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes, o.settings.Volumes...)
	return config.ApplyOverlay(pod, o.settings.PodOverlay)
}

// spec is what concerns the pod as a whole.
func (o *objects) spec() corev1.PodSpec {
	s := o.settings
	spec := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: ptr(seconds(s.Grace + tailTime)),
		ActiveDeadlineSeconds:         ptr(activeDeadline(s)),
		ServiceAccountName:            s.ServiceAccount,
		AutomountServiceAccountToken:  ptr(s.AutomountServiceAccountToken),
		NodeSelector:                  s.NodeSelector,
		Tolerations:                   s.Tolerations,
		Affinity:                      s.Affinity,
		TopologySpreadConstraints:     s.TopologySpreadConstraints,
		PriorityClassName:             s.PriorityClass,
		DNSPolicy:                     s.DNSPolicy,
		HostAliases:                   s.HostAliases,
		SecurityContext:               o.podSecurity(),
	}
	if s.RuntimeClass != "" {
		spec.RuntimeClassName = ptr(s.RuntimeClass)
	}
	for _, name := range s.ImagePullSecrets {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	return spec
}

// activeDeadline is what a pod has from its start on, in seconds.
func activeDeadline(s config.Kubernetes) int64 {
	return seconds(s.StartTimeout + s.Lifetime + s.Grace + shippingTime)
}

// annotations are the user's, those that keep autoscalers away, and what another runner needs to take the job over.
func (o *objects) annotations() map[string]string {
	annotations := map[string]string{annotationSafeToEvict: "false", annotationDoNotDisrupt: "true"}
	maps.Copy(annotations, o.settings.Annotations)
	maps.Copy(annotations, map[string]string{
		annotationRunner:    o.runner,
		annotationPipeline:  o.pipeline,
		annotationSource:    o.source,
		annotationJobID:     o.job.ID,
		annotationDelivered: "0",
		annotationInstance:  o.instance,
	})
	maps.Copy(annotations, o.ofAttempt())
	return annotations
}

// ofAttempt are the annotations that differ from one attempt of a job to the next.
func (o *objects) ofAttempt() map[string]string {
	annotations := map[string]string{annotationAttempt: strconv.Itoa(max(o.job.Attempt, 1))}
	if o.job.Number != "" {
		annotations[annotationNumber] = o.job.Number
	}
	if len(o.job.Handle) > 0 {
		annotations[annotationHandle] = base64.StdEncoding.EncodeToString(o.job.Handle)
	}
	return annotations
}

// helper is the container that serves the steps' output. The kubelet starts the next container only after its hook has
// put the helper where the steps find it.
func (o *objects) helper(steps []step) corev1.Container {
	tools := tool.Args(tool.List(o.settings.Tools))
	c := corev1.Container{
		Name:            helperContainer,
		Image:           o.settings.HelperImage,
		ImagePullPolicy: o.settings.HelperPullPolicy,
		Command: []string{
			helperInImage, "agent", "-listen", ":" + strconv.Itoa(agentPort), "-inputs", inputsDir, "-steps", stepsDir,
			"-lifetime", o.settings.Lifetime.String(), "-grace", o.settings.Grace.String(),
			"-keep", strconv.FormatInt(o.settings.SpoolSize/keptPart, 10),
		},
		// What it says before it ends with an error is told with the job's result.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Ports:                    []corev1.ContainerPort{{Name: "agent", ContainerPort: agentPort}},
		Resources:                o.helperResources(len(steps)),
		Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{
			Exec: &corev1.ExecAction{Command: slices.Concat([]string{helperInImage, "install"}, tools, []string{helperInPod})},
		}},
		SecurityContext: restricted(),
		VolumeMounts: []corev1.VolumeMount{
			{Name: volumeTools, MountPath: toolsDir},
			{Name: volumeInputs, MountPath: inputsDir, ReadOnly: true},
		},
	}
	c.SecurityContext.RunAsUser, c.SecurityContext.RunAsGroup = ptr(int64(nonRoot)), ptr(int64(nonRoot))
	c.SecurityContext.ReadOnlyRootFilesystem = ptr(true)
	for _, s := range steps {
		c.Command = append(c.Command, "-step", s.name)
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: stepVolume(s.name), MountPath: path.Join(stepsDir, s.name)})
	}
	c.Command = append(c.Command, tools...)
	return c
}

// helperResources are the configured ones. The spools and the tools count against the ephemeral storage of the pod as a whole, so the
// helper's limit has room for them when none is configured: a job's own limit is its own.
func (o *objects) helperResources(steps int) corev1.ResourceRequirements {
	r := *o.settings.HelperResources.DeepCopy()
	if _, ok := r.Limits[corev1.ResourceEphemeralStorage]; !ok && r.Limits != nil {
		room := int64(steps)*(o.settings.SpoolSize+spoolSlack) + spoolSlack + int64(len(o.settings.Tools))*toolRoom
		r.Limits[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(room, resource.BinarySI)
	}
	return r
}

// keptPart is the part of a step's spool that stays when core has fetched it: a runner that takes the job over has the
// processors see it from its beginning. The rest is what the step may be ahead of core.
const keptPart = 2

// spoolSlack is more than a spool may exceed its bound by, and than the helper's binary takes.
const spoolSlack = 32 << 20

// toolRoom is more than a static program that jobs call takes, as a rule; helper_resources has room for a larger one.
const toolRoom = 64 << 20

// container is a step's.
func (o *objects) container(s step, last bool) corev1.Container {
	c := corev1.Container{
		Name:            s.name,
		Image:           s.image,
		ImagePullPolicy: o.settings.PullPolicy,
		Command: []string{
			helperInPod, "entrypoint", "-control", path.Join(stepDir, "control"), "-spool", path.Join(stepDir, "spool"), "-shared",
			"-spool-size", strconv.FormatInt(o.settings.SpoolSize, 10), "-shell", o.settings.Shell,
			"-xtrace=" + strconv.FormatBool(o.settings.XTrace), "-workdir", path.Join(o.settings.Workdir, o.job.ID),
			"-outcome", path.Join(stepDir, "outcome", outcomeName),
			"-grace", o.settings.Grace.String(),
		},
		Resources:       o.stepResources(last),
		SecurityContext: o.stepSecurity(),
		VolumeMounts: []corev1.VolumeMount{
			{Name: volumeTools, MountPath: toolsDir, ReadOnly: true},
			{Name: volumeFiles, MountPath: filesDir, ReadOnly: true},
			{Name: volumeWorkspace, MountPath: o.settings.Workdir},
			{Name: stepVolume(s.name), MountPath: stepDir},
		},
	}
	c.VolumeMounts = append(c.VolumeMounts, o.settings.VolumeMounts...)
	return c
}

// stepResources are the configured ones. The steps run one after the other, and yet the scheduler adds up what all
// containers ask for; so the init step asks for nothing beside what the job step does, and has no devices.
func (o *objects) stepResources(last bool) corev1.ResourceRequirements {
	r := *o.settings.Resources.DeepCopy()
	if last {
		return r
	}
	r.Claims = nil
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		maps.DeleteFunc(list, func(name corev1.ResourceName, _ resource.Quantity) bool {
			return !slices.Contains(shareable, name)
		})
	}
	r.Requests = corev1.ResourceList{}
	for name := range r.Limits {
		r.Requests[name] = resource.Quantity{Format: resource.DecimalSI} // else it would be as much as the limit
	}
	return r
}

// shareable are the resources that a container may have without asking for them.
var shareable = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

// podSecurity merges what agent mode and the restricted level ask for into the configured context.
func (o *objects) podSecurity() *corev1.PodSecurityContext {
	c := &corev1.PodSecurityContext{}
	if o.settings.SecurityContext != nil {
		c = o.settings.SecurityContext.DeepCopy()
	}
	switch {
	case o.settings.AgentMode:
		c.RunAsUser, c.RunAsNonRoot = ptr(int64(0)), nil
		if c.FSGroup == nil {
			c.FSGroup = ptr(int64(0))
		}
	case o.settings.PodSecurity == "restricted":
		c.RunAsNonRoot = ptr(true)
		if c.RunAsUser == nil {
			c.RunAsUser = ptr(int64(nonRoot))
		}
		if c.SeccompProfile == nil {
			c.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
		}
	}
	return c
}

func (o *objects) stepSecurity() *corev1.SecurityContext {
	switch {
	case o.settings.AgentMode:
		return &corev1.SecurityContext{Privileged: ptr(true)}
	case o.settings.PodSecurity == "restricted":
		c := restricted()
		c.SeccompProfile = nil // the pod's, which may be configured
		return c
	}
	return nil
}

// restricted is what the pod security level of this name asks of a container.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr(false),
		Privileged:               ptr(false),
		RunAsNonRoot:             ptr(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// files is the volume with the job's files.
func (o *objects) files(p payload) corev1.Volume {
	open := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: o.name}}
	secret := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: o.name}}
	for i, f := range o.job.Files {
		item := corev1.KeyToPath{Key: fileKey(i), Path: f.Name}
		if _, ok := p.secret[item.Key]; ok {
			secret.Items = append(secret.Items, item)
		} else {
			open.Items = append(open.Items, item)
		}
	}
	return projected(volumeFiles, 0o777, open, secret)
}

// inputs is the volume with what the helper needs, and hands to the steps.
func (o *objects) inputs(p payload, steps []step) corev1.Volume {
	open := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: o.name}}
	secret := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: o.name}}
	keys := []string{keyCertificate, keyPrivate}
	for _, s := range steps {
		keys = append(keys, scriptKey(s.name), variablesKey(s.name))
	}
	for _, key := range keys {
		item := corev1.KeyToPath{Key: key, Path: key}
		if _, ok := p.secret[key]; ok {
			secret.Items = append(secret.Items, item)
		} else {
			open.Items = append(open.Items, item)
		}
	}
	// Others can't read it: only the helper mounts it.
	return projected(volumeInputs, 0o444, open, secret)
}

func projected(name string, mode int32, open *corev1.ConfigMapProjection, secret *corev1.SecretProjection) corev1.Volume {
	v := &corev1.ProjectedVolumeSource{DefaultMode: ptr(mode)}
	if len(open.Items) > 0 {
		v.Sources = append(v.Sources, corev1.VolumeProjection{ConfigMap: open})
	}
	if len(secret.Items) > 0 {
		v.Sources = append(v.Sources, corev1.VolumeProjection{Secret: secret})
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: v}}
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// limitOf is the memory limit of a step's container, for people; empty for none.
func limitOf(pod *corev1.Pod, container string) string {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
				return limit.String()
			}
		}
	}
	return ""
}

// isStep tells whether a container is one of a step.
func isStep(container string) bool {
	return container == record.StepInit || container == record.StepJob
}
