# The configuration of the runner, made by `core migrate` of what opslevel-runner was configured by. The format is
# HCL: blocks with a name in front of the braces, arguments with an equals sign inside, comments after #.
#
# What is not here is as by default. docs/configuration.md has all settings, docs/migrating.md what is different from
# opslevel-runner; `core validate` checks this file, `core fmt` puts its spaces right.
#
# It reads the variables of opslevel-runner that were set when it was made, and those that could override what its
# file said. The shipped runner.hcl reads all of them.
#
# What could not be taken over as it was:
# * opslevel.yaml:3:12: A token does not belong in a file that others may read, nor on a command line. Give it to
#   core as the environment variable OPSLEVEL_API_TOKEN, which runner.hcl reads.
# * opslevel.yaml:8:24: "job-pod-exec-max-wait" bounded a request to the API server, and never the commands of a
#   job. Here a request that has no answer is made again, so that request_timeout is from 1s to 5m, and 15s when
#   nothing is said.
# * opslevel.yaml:9:23: The section kubernetes of opslevel.yaml has lifetime, which won over "job-pod-max-lifetime"
#   in opslevel-runner. It alone is taken over.
# * opslevel.yaml:10:20: The section kubernetes of opslevel.yaml has namespace, which won over "job-pod-namespace"
#   in opslevel-runner. It alone is taken over.
# * opslevel.yaml:11:23: The section kubernetes of opslevel.yaml has resources.requests.cpu, which won over
#   "job-pod-requests-cpu" in opslevel-runner. It alone is taken over.
# * opslevel.yaml:17:16: The section kubernetes of opslevel.yaml has shell, which won over "job-pod-shell" in
#   opslevel-runner. It alone is taken over.
# * opslevel.yaml:18:18: The section kubernetes of opslevel.yaml has workingDir, which won over "job-pod-workdir" in
#   opslevel-runner. It alone is taken over.
# * opslevel.yaml:21:17: The section kubernetes of opslevel.yaml has agentMode, which won over "job-agent-mode" in
#   opslevel-runner. It alone is taken over.
# * opslevel.yaml:30:9: "queues" is not taken over: opslevel-runner asks for queues of Faktory in the mode faktory
#   only; for those of OpsLevel there is queue.
# * opslevel.yaml:35:16: "log-max-bytes" did nothing in opslevel-runner. The block deliver has what bounds a batch
#   of lines.
# * opslevel.yaml:36:15: "log-max-time" did nothing in opslevel-runner. The block deliver has what bounds a batch of
#   lines.
# * opslevel.yaml:37:1: opslevel-runner passed over "api-tokens", and so does this. Did you mean "api-token"?
# * opslevel.yaml:51:14: opslevel-runner read dnsPolicy and never used it, so it is not taken over. The setting
#   dns_policy, which is there as a comment, has an effect.
# * opslevel.yaml:60:16: The image of opslevel-runner does not have the program that pods need here. If they can't
#   pull the image that is the default, put a copy of it into your registry and name that one in helper_image.
# * opslevel.yaml:61:3: opslevel-runner passed over "tolerations" in the section kubernetes, and so does this.
# * the environment variable OPSLEVEL_JOB_CONCURRENCY: opslevel-runner did not read this variable, so it is not
#   taken over. To have it count, write env("OPSLEVEL_JOB_CONCURRENCY", …) as the value of what was
#   --job-concurrency.

# The runner as a whole.
runner {
  # Tells this runner from others. env() reads an environment variable, and takes the second value when it is not set.
  name = env("RUNNER_POD_NAME", hostname())

  # How many jobs run at once.
  concurrency = 8

  # Of the runner's own log.
  log_level  = env("OPSLEVEL_LOG_LEVEL", "debug")
  log_format = env("OPSLEVEL_LOG_FORMAT", "json")
}

# Metrics for Prometheus and health. opslevel-runner showed its metrics on all interfaces; without a host this does,
# too.
telemetry {
  address = ":9090"
}

# Runners choose a leader among them, which sets the replicas of their deployment as OpsLevel recommends.
scaling {
  enabled = env("SCALING_ENABLED", true)

  # The name of this runner's pod, which is its name in the lease.
  pod = env("RUNNER_POD_NAME", null)

  # Where the deployment is, and the lease by which runners agree on a leader.
  namespace = env("RUNNER_POD_NAMESPACE", "runners")

  # The name of both.
  deployment   = env("RUNNER_DEPLOYMENT", "opslevel-runner")
  min_replicas = env("RUNNER_MIN_REPLICAS", 2)
  max_replicas = env("RUNNER_MAX_REPLICAS", 8)

  # OpsLevel is told this many times the concurrency.
  concurrency_factor = 50
}

# How jobs run in a cluster: each in a pod of its own. A bare number of a time is seconds.
kubernetes {
  # Where the pods are made.
  namespace = "jobs"

  # Requests to the API server: how many a second in the long run, how many at once, and how long one may take.
  qps   = env("OPSLEVEL_K8S_API_QPS", 20)
  burst = env("OPSLEVEL_K8S_API_BURST", 40)

  # How long a pod may take until its first step runs.
  start_timeout = env("OPSLEVEL_JOB_POD_MAX_WAIT", "2m")

  # How long the steps of a job may run.
  lifetime = "2h"

  # The time between the request to end a job and its end by force.
  grace = "30s"

  # What runs a job's commands, and the folder in which each job gets a working directory.
  shell   = "/bin/sh"
  workdir = "/srv"

  # What a step asks for. What is not said here stays as by default.
  resources = {
    requests = {
      cpu               = "500m"
      memory            = "256Mi"
      ephemeral-storage = "32Mi"
    }
    limits = {
      cpu               = "4"
      memory            = "8Gi"
      ephemeral-storage = "10Gi"
      "nvidia.com/gpu"  = "1"
    }
  }

  # When the helper's image is pulled.
  helper_pull_policy = "Always"

  # The pods' service account. opslevel-runner gave jobs its token; without the second line they have none.
  service_account                 = "jobs"
  automount_service_account_token = true

  # Annotations of the pods.
  annotations = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict" = "true"
    team                                             = "platform"
  }

  # Labels that a node must have.
  node_selector = {
    "kubernetes.io/arch" = "amd64"
  }

  # The pods' security context.
  security_context = {
    runAsUser          = 1000
    fsGroup            = 1000
    supplementalGroups = [10, 20]
    sysctls            = [{ name = "net.core.somaxconn", value = "1024" }]
  }

  # dns_policy = "Default"

  # What opslevel-runner did for every job, and has to be asked for here:
  # disruption_budget = true keeps nodes from being drained under a job.
  # tools = { "opslevel-runner" = "runner-source-faktory" } is for jobs that call /mount/opslevel-runner enqueue.
}

# Where jobs come from, and which processors see their logs.
pipeline "default" {
  # Jobs come from OpsLevel.
  source "opslevel" {
    config {
      # Where its API is.
      api_url   = env("OPSLEVEL_API_URL", env("OPSLEVEL_APP_URL", "https://opslevel.example.com/"))
      api_token = env("OPSLEVEL_API_TOKEN")

      # The queue that this runner takes jobs from.
      queue = env("OPSLEVEL_QUEUE", "builds")

      # How often it asks for a job when there was none.
      poll_interval = "3s"

      # Put behind the name by which this runner goes there.
      user_agent_extras = env("OPSLEVEL_USER_AGENT_EXTRAS", null)
    }
  }

  # These collect outcome variables, mask secrets, and put the time before each line: in this order.
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}

  # How much of a log is sent at once, in bytes, and how long a line may wait.
  deliver {
    max_bytes    = env("OPSLEVEL_JOB_POD_LOG_MAX_SIZE", 256000)
    max_interval = env("OPSLEVEL_JOB_POD_LOG_MAX_INTERVAL", "10s")
  }
}
