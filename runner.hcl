# The configuration of the runner. `core` reads it from the current folder, or from where --config or RUNNER_CONFIG says.
#
# The format is HCL, as Terraform's files have it: blocks with a name in front of the braces, arguments with an equals
# sign inside, and comments after #. `core validate` checks this file, `core fmt` puts its spaces right. What else may
# stand here is told in docs/configuration.md.

# The runner as a whole.
runner {
  # Tells this runner from others. env() reads an environment variable, and takes the second value when it is not set.
  name = env("RUNNER_POD_NAME", hostname())

  # How many jobs run at once.
  concurrency = 3
}

# How jobs run in a cluster: each in a pod of its own. A pipeline can override any of these in a block of the same name
# inside its braces. Core finds the cluster as kubectl does: by KUBECONFIG, by ~/.kube/config, or, inside a pod, by that
# pod's service account.
kubernetes {
  # Where the pods are made.
  namespace = env("OPSLEVEL_JOB_POD_NAMESPACE", "default")

  # How long a pod may take until its first step runs, and how long its steps may run. A bare number is seconds.
  start_timeout = env("OPSLEVEL_JOB_POD_MAX_WAIT", "60s")
  lifetime      = env("OPSLEVEL_JOB_POD_MAX_LIFETIME", "1h")

  # What runs a job's commands, and the folder in which each job gets a working directory. Both are paths in its image.
  shell   = env("OPSLEVEL_JOB_POD_SHELL", "/bin/sh")
  workdir = env("OPSLEVEL_JOB_POD_WORKDIR", "/jobs")

  # Jobs run privileged and as root. Only for jobs that build images or the like, and that you trust.
  agent_mode = env("OPSLEVEL_JOB_AGENT_MODE", false)

  # The image of the container that stands beside a job and hands its output to core. With no value of its own, null,
  # a setting is what it is by default: here, the image that belongs to this version.
  helper_image = env("OPSLEVEL_JOB_POD_HELPER_IMAGE", null)

  # Requests to the cluster's API server: how many a second in the long run, and how many at once.
  qps   = env("OPSLEVEL_K8S_API_QPS", 50)
  burst = env("OPSLEVEL_K8S_API_BURST", 100)

  # What a job asks for. These are the defaults: give what is different, the rest stays as it is.
  # resources = {
  #   requests = { cpu = "1", memory = "1Gi", ephemeral-storage = "64Mi" }
  #   limits   = { cpu = "1", memory = "1Gi", ephemeral-storage = "26Gi" }
  # }
}

# A pipeline says where jobs run and which processors see their logs. `core test` and `core replay` use the one called
# "default" unless --pipeline names another.
pipeline "default" {
  # Jobs run in pods. To try one on this machine without a cluster: core test -f job.yaml --executor local.
  executor = "kubernetes"

  # Processors are plugins. Each gets every line of a job's log, in the order in which they stand here, and may change
  # it. What is meant for one of them goes into a block `config { … }` inside its braces; `core plugins describe NAME`
  # prints what that may hold.

  # Collects the variables that a job hands back (::set-outcome-var name=value) and takes those lines out of the log.
  processor "outcome" {}

  # Puts asterisks in place of the values of the job's sensitive variables.
  processor "sanitize" {}

  # Puts the time before each line.
  processor "prefix" {}
}
