# A runner that takes its jobs from a Faktory queue. It reads the variables that opslevel-runner read in its mode faktory.
# `make dev` starts one with this file, and a real Faktory with it.
#
# The format is HCL: blocks with a name in front of the braces, arguments with an equals sign inside, comments after #.
# env() reads an environment variable, and takes the second value when that is not set; null stands for "as by default".
# docs/configuration.md tells what else may stand here, docs/faktory.md what this source can do.

runner {
  # Tells this runner from others.
  name = env("RUNNER_POD_NAME", hostname())

  # How many jobs run at once.
  concurrency = env("OPSLEVEL_JOB_CONCURRENCY", 3)

  # How long running jobs may go on when the runner is told to stop.
  drain_timeout = "1m"

  log_level  = env("OPSLEVEL_LOG_LEVEL", null)
  log_format = env("OPSLEVEL_LOG_FORMAT", null)
}

# Where to look: /metrics, and /readyz for whether all is well.
telemetry {
  address = ":${env("OPSLEVEL_METRICS_PORT", 10354)}"

  # Failed jobs, and faults of the runner itself, are reported to Sentry when this is set.
  sentry_dsn = env("SENTRY_DSN", null)
}

# For jobs in pods.
kubernetes {
  namespace     = env("OPSLEVEL_JOB_POD_NAMESPACE", "default")
  start_timeout = env("OPSLEVEL_JOB_POD_MAX_WAIT", "60s")
  lifetime      = env("OPSLEVEL_JOB_POD_MAX_LIFETIME", "1h")
  shell         = env("OPSLEVEL_JOB_POD_SHELL", "/bin/sh")
  workdir       = env("OPSLEVEL_JOB_POD_WORKDIR", "/jobs")
  agent_mode    = env("OPSLEVEL_JOB_AGENT_MODE", false)
  helper_image  = env("OPSLEVEL_JOB_POD_HELPER_IMAGE", null)

  # Thousandths of a CPU, and MiB; ${…} puts a value into a text.
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

  # Jobs find this program at /mount/opslevel-runner, to push jobs with: /mount/opslevel-runner enqueue -f job.yaml.
  tools = { "opslevel-runner" = "runner-source-faktory" }

  qps             = env("OPSLEVEL_K8S_API_QPS", 50)
  burst           = env("OPSLEVEL_K8S_API_BURST", 100)
  request_timeout = env("OPSLEVEL_JOB_POD_EXEC_MAX_WAIT", "15s")
}

pipeline "default" {
  # "kubernetes" runs each job in a pod of its own, "local" on this machine.
  executor = env("RUNNER_EXECUTOR", "kubernetes")

  source "faktory" {
    config {
      # As Faktory's own clients do: FAKTORY_PROVIDER names the variable with the address, which else is FAKTORY_URL.
      url = env(env("FAKTORY_PROVIDER", "FAKTORY_URL"), "tcp://localhost:7419")

      # Names with spaces between them. Jobs are taken from the first queue as long as it has any, then from the second.
      queues = [env("OPSLEVEL_QUEUES", "default")]

      # Jobs are given both, for those that push jobs. The address holds a password, so it is masked in their logs.
      provider = env("FAKTORY_PROVIDER", null)
      pass_url = true
    }
  }

  # Collects outcome variables, masks secrets, puts the time before each line: in this order.
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}

  # How much of a log is pushed at once, and how long a line may wait for that.
  deliver {
    max_bytes    = env("OPSLEVEL_JOB_POD_LOG_MAX_SIZE", 1000000)
    max_interval = env("OPSLEVEL_JOB_POD_LOG_MAX_INTERVAL", "30s")
  }
}
