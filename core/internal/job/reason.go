package job

// Reason is a word that tells more than the outcome, out of a closed set: Reasons.
type Reason string

// The reasons. Reasons tells of each what it means.
const (
	ReasonNone Reason = ""

	ReasonExit       Reason = "exit"
	ReasonInitFailed Reason = "init_failed"
	ReasonInvalidJob Reason = "invalid_job"
	ReasonStart      Reason = "start_failed"
	ReasonCanceled   Reason = "canceled"
	ReasonLifetime   Reason = "lifetime"
	ReasonReserved   Reason = "reservation"
	ReasonOOMKilled  Reason = "oom_killed"
	ReasonProcessor  Reason = "processor_failed"

	ReasonImageInvalid    Reason = "image_invalid"
	ReasonImageNotFound   Reason = "image_not_found"
	ReasonImagePull       Reason = "image_pull"
	ReasonUnschedulable   Reason = "unschedulable"
	ReasonVolume          Reason = "volume"
	ReasonContainerConfig Reason = "container_config"
	ReasonContainerStart  Reason = "container_start"
	ReasonStartTimeout    Reason = "start_timeout"

	ReasonQuota     Reason = "quota_exceeded"
	ReasonAdmission Reason = "admission_refused"
	ReasonForbidden Reason = "forbidden"
	ReasonNamespace Reason = "namespace_missing"

	ReasonEvicted        Reason = "evicted"
	ReasonPreempted      Reason = "preempted"
	ReasonNodeLost       Reason = "node_lost"
	ReasonPodDeleted     Reason = "pod_deleted"
	ReasonInfrastructure Reason = "infrastructure"
)

// ReasonInfo tells of a reason.
type ReasonInfo struct {
	Reason Reason
	// Outcome is the one that goes with it.
	Outcome Outcome
	// Infrastructure says that something around the job is at fault and not the job itself.
	Infrastructure bool
	// Means says what has happened, Hint what to do. Both are sentences, in Markdown.
	Means, Hint string
}

// Reasons are all reasons there are, in the order in which docs/reasons.md lists them.
var Reasons = []ReasonInfo{
	{
		ReasonExit, Failed, false,
		"The commands ended with an exit code other than 0, or by a signal. The code is in the result.",
		"Look at the end of the log. Commands run with `sh -e`: the first one that fails ends the job.",
	},
	{
		ReasonInitFailed, Failed, false,
		"The init commands failed, so the commands were not run.",
		"Look at the end of the lines of the step `init`.",
	},
	{
		ReasonInvalidJob, Failed, false,
		"The job has a bad shape, such as no image, a variable whose name is no environment name, or more data than an object of the cluster holds. It was not started.",
		"The message names the field; `core test -f` shows the place in a job file.",
	},
	{
		ReasonStart, Failed, false,
		"The commands could not be started, for example because the shell does not exist.",
		"The program of the `shell` setting has to be where the commands run: in a pod, in the job's image.",
	},
	{
		ReasonCanceled, Canceled, false,
		"A person, the source or the end of the runner ended the job.",
		"Nothing is wrong. The log is as far as the job had come.",
	},
	{
		ReasonLifetime, ExecutionTimeout, false,
		"The job ran longer than it may.",
		"Raise `lifetime` in `runner.hcl`, or make the job shorter.",
	},
	{
		ReasonReserved, ExecutionTimeout, false,
		"The job ran until shortly before the source would have handed it out again, and was ended so that it does not run twice at once.",
		"Reserve the job for longer where it is put into the queue (Faktory: `reserve_for`), or make it shorter.",
	},
	{
		ReasonOOMKilled, Failed, false,
		"The kernel killed a process of the job because the step's container had used all the memory of its limit.",
		"Raise the memory in `resources` of the block `kubernetes`, or make the job need less.",
	},
	{
		ReasonProcessor, Failed, true,
		"A processor failed for good, and its `on_error` is `\"fail\"`. The job was ended and the rest of its log is withheld.",
		"The message names the processor and what became of it; the runner's own log has more. Mend the processor; with `on_error` set to `\"drop\"` a job goes on without its log.",
	},
	{
		ReasonImageInvalid, Failed, false,
		"The name of an image is not one.",
		"Mend `image` or `initImage` of the job, or `helper_image` in `runner.hcl`.",
	},
	{
		ReasonImageNotFound, Failed, false,
		"The registry says that there is no such image, or that it may not be pulled; or it is not on the node and may not be pulled by `pull_policy`.",
		"Look for a slip in the image's name and tag. A private registry needs `image_pull_secrets`.",
	},
	{
		ReasonImagePull, PodTimeout, true,
		"An image could not be pulled within `start_timeout`. The cluster has tried again and again.",
		"The message has the registry's answer. For a slow registry or a large image raise `start_timeout`.",
	},
	{
		ReasonUnschedulable, PodTimeout, true,
		"No node had a place for the pod within `start_timeout`.",
		"The message is the scheduler's. Ask for less in `resources`, allow more nodes by `tolerations`, `node_selector` or `affinity`, add nodes, or raise `start_timeout` for nodes that are still to come.",
	},
	{
		ReasonVolume, PodTimeout, true,
		"A volume of the pod could not be mounted within `start_timeout`.",
		"The message has the cluster's words. Look at `volumes` in `runner.hcl` and at what they name.",
	},
	{
		ReasonContainerConfig, Failed, true,
		"A container could not be made of what the pod says, for example because it names a Secret or a ConfigMap that does not exist.",
		"The message names what is missing. Look at `pod_overlay`, `volumes` and `security_context` in `runner.hcl`.",
	},
	{
		ReasonContainerStart, Failed, true,
		"A container could not be started by the node, or the helper's image lacks a program of `tools`.",
		"The message is the container runtime's, or names the program. Look at the image's platform, and at `pod_overlay`, `runtime_class` and `tools` in `runner.hcl`.",
	},
	{
		ReasonStartTimeout, PodTimeout, true,
		"The pod's first step did not start within `start_timeout`, and the cluster does not say why.",
		"Look at the pod with `--keep`, and at its node. Raise `start_timeout` when the cluster is slow.",
	},
	{
		ReasonQuota, Failed, true,
		"The namespace's quota has no room for the pod.",
		"Ask for less in `resources`, run fewer jobs at once, or raise the quota.",
	},
	{
		ReasonAdmission, Failed, true,
		"The cluster refused an object of the job: a policy, a webhook, or the namespace's pod security level.",
		"The message is the policy's own. For a namespace that enforces the restricted level set `pod_security = \"restricted\"`.",
	},
	{
		ReasonForbidden, Failed, true,
		"The account that core uses lacks a right.",
		"Grant what the message names: verb, resource and namespace. docs/kubernetes.md has the whole Role.",
	},
	{
		ReasonNamespace, Failed, true,
		"The namespace that jobs are to run in does not exist.",
		"Make it, or mend `namespace` in `runner.hcl`.",
	},
	{
		ReasonEvicted, Failed, true,
		"The cluster took the pod off its node: for lack of memory or disk, or because the node was drained.",
		"Run the job again if it may run twice. Ask for as much in `resources` as it needs; `disruption_budget = true` keeps drains away.",
	},
	{
		ReasonPreempted, Failed, true,
		"The pod made way for one of a higher priority.",
		"Run the job again if it may run twice, or give jobs a `priority_class`.",
	},
	{
		ReasonNodeLost, Failed, true,
		"The node of the pod went away or is no longer heard of, and with it what the job did.",
		"Run the job again if it may run twice. Look at the node.",
	},
	{
		ReasonPodDeleted, Failed, true,
		"Somebody deleted the pod.",
		"Run the job again if it may run twice.",
	},
	{
		ReasonInfrastructure, Failed, true,
		"There is no evidence of how the job ended: its log broke off, its process was lost, or it could not be started at all. Whether it did its work is not known.",
		"Look at the message and at the runner's own log. It is safe to run the job again only if it is safe to run it twice.",
	},
}

// Info returns what there is to tell of a reason; the zero value for none, or for one that is not of the set.
func (r Reason) Info() ReasonInfo {
	for _, info := range Reasons {
		if info.Reason == r {
			return info
		}
	}
	return ReasonInfo{}
}
