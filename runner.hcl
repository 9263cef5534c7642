# The configuration of the runner: it takes jobs from OpsLevel and runs each in a pod. `core` reads it from the current
# folder, or from where --config or RUNNER_CONFIG says. OPSLEVEL_API_TOKEN is all that it needs.
#
# The format is HCL, as Terraform's files have it: blocks with a name in front of the braces, arguments with an equals
# sign inside, and comments after #. env() reads an environment variable, and takes the second value when that is not set,
# or empty; null stands for "as by default". So most settings can be changed here or by a variable, and each for one
# command by --set: core run --set kubernetes.namespace=jobs.
#
# `core validate` checks this file, `core fmt` puts its spaces right. docs/configuration.md tells what else may stand here,
# docs/migrating.md how to come from opslevel-runner, whose variables these are.

# The runner as a whole.
runner {
  # Tells this runner from others.
  name = env("RUNNER_POD_NAME", hostname())

  # How many jobs run at once.
  concurrency = env("OPSLEVEL_JOB_CONCURRENCY", 3)

  # The runner's own log: trace, debug, info, warn, error or off; text or json.
  log_level  = env("OPSLEVEL_LOG_LEVEL", null)
  log_format = env("OPSLEVEL_LOG_FORMAT", null)
}

# Metrics for Prometheus, and health, on all interfaces. "127.0.0.1:10354" in place of this is for this machine alone.
telemetry {
  address = ":${env("OPSLEVEL_METRICS_PORT", 10354)}"

  # Failed jobs, and faults of the runner itself, are reported to Sentry when this is set.
  sentry_dsn = env("SENTRY_DSN", null)
}

# Several runners in one Deployment choose a leader, which sets its replicas as OpsLevel recommends.
scaling {
  enabled = env("SCALING_ENABLED", false)

  # The pod that this runner is in. Its manifest gives it these two variables with fieldRef.
  pod       = env("RUNNER_POD_NAME", null)
  namespace = env("RUNNER_POD_NAMESPACE", "default")

  # The name of the Deployment, and of the Lease by which the leader is chosen; how many replicas there may be.
  deployment   = env("RUNNER_DEPLOYMENT", "runner")
  min_replicas = env("RUNNER_MIN_REPLICAS", 1)
  max_replicas = env("RUNNER_MAX_REPLICAS", 10)

  # OpsLevel is told this many times the concurrency.
  concurrency_factor = env("OPSLEVEL_JOB_CONCURRENCY_FACTOR", 100)
}

# How jobs run in a cluster. A pipeline can override any of these in a block of the same name inside its braces. Core
# finds the cluster as kubectl does: by KUBECONFIG, by ~/.kube/config, or, inside a pod, by that pod's service account.
kubernetes {
  # Where the pods are made.
  namespace = env("OPSLEVEL_JOB_POD_NAMESPACE", "default")

  # How long a pod may take until its first step runs, and how long its steps may run. A bare number is seconds.
  start_timeout = env("OPSLEVEL_JOB_POD_MAX_WAIT", "60s")
  lifetime      = env("OPSLEVEL_JOB_POD_MAX_LIFETIME", "1h")

  # What runs a job's commands, and the folder in which each job gets a working directory. Both are paths in its image.
  shell   = env("OPSLEVEL_JOB_POD_SHELL", "/bin/sh")
  workdir = env("OPSLEVEL_JOB_POD_WORKDIR", "/jobs")

  # What a job asks for, and what it gets at most: thousandths of a CPU, and MiB. ${…} puts a value into a text.
  resources = {
    requests = {
      cpu               = "${env("OPSLEVEL_JOB_POD_REQUESTS_CPU", 1000)}m"
      memory            = "${env("OPSLEVEL_JOB_POD_REQUESTS_MEMORY", 1024)}Mi"
      ephemeral-storage = "${env("OPSLEVEL_JOB_POD_REQUESTS_EPHEMERAL_STORAGE", 64)}Mi"
    }
    limits = {
      cpu               = "${env("OPSLEVEL_JOB_POD_LIMITS_CPU", 1000)}m"
      memory            = "${env("OPSLEVEL_JOB_POD_LIMITS_MEMORY", 1024)}Mi"
      ephemeral-storage = "${env("OPSLEVEL_JOB_POD_LIMITS_EPHEMERAL_STORAGE", 26624)}Mi"
    }
  }

  # Jobs run privileged and as root. Only for jobs that build images or the like, and that you trust.
  agent_mode = env("OPSLEVEL_JOB_AGENT_MODE", false)

  # The image of the container that stands beside a job and hands its output to core; by default the one of this version.
  helper_image = env("OPSLEVEL_JOB_POD_HELPER_IMAGE", null)

  # Requests to the API server: how many a second in the long run, how many at once, how long one may take.
  qps             = env("OPSLEVEL_K8S_API_QPS", 50)
  burst           = env("OPSLEVEL_K8S_API_BURST", 100)
  request_timeout = env("OPSLEVEL_JOB_POD_EXEC_MAX_WAIT", "15s")
}

# A pipeline says where jobs come from, where they run, and which processors see their logs. `core test` and `core replay`
# use the one called "default" unless --pipeline names another; they neither start its source nor read what it needs.
pipeline "default" {
  # To try a job on this machine without a cluster: core test -f job.yaml --executor local.
  executor = "kubernetes"

  # Sources and processors are plugins. What is meant for one of them stands in a block `config` inside its braces;
  # `core plugins describe NAME` prints what that may hold.
  source "opslevel" {
    config {
      # A secret: it belongs into the environment, not into this file.
      api_token = env("OPSLEVEL_API_TOKEN")
      api_url   = env("OPSLEVEL_API_URL", env("OPSLEVEL_APP_URL", "https://api.opslevel.com"))

      # The queue whose jobs are taken, and how long to wait when there was none.
      queue         = env("OPSLEVEL_QUEUE", null)
      poll_interval = env("OPSLEVEL_POLL_INTERVAL", "10s")

      # Put behind the name by which the runner goes there.
      user_agent_extras = env("OPSLEVEL_USER_AGENT_EXTRAS", null)
    }
  }

  # Each processor gets every line of a job's log, in the order in which they stand here, and may change it. This one
  # collects the variables that a job hands back (::set-outcome-var name=value) and takes those lines out.
  processor "outcome" {}

  # Puts asterisks in place of the values of the job's sensitive variables.
  processor "sanitize" {}

  # Puts the time before each line.
  processor "prefix" {}

  # How much of a log is sent at once, and how long a line may wait for that.
  deliver {
    max_bytes    = env("OPSLEVEL_JOB_POD_LOG_MAX_SIZE", 1000000)
    max_interval = env("OPSLEVEL_JOB_POD_LOG_MAX_INTERVAL", "30s")
  }
}
