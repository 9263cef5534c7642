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
# * --job-pod-limits-cpu: The section kubernetes of opslevel.yaml has resources.limits.cpu, which won over
#   "job-pod-limits-cpu" in opslevel-runner. It alone is taken over.

# The runner as a whole.
runner {
  # Tells this runner from others. env() reads an environment variable, and takes the second value when it is not set.
  name = env("RUNNER_POD_NAME", hostname())
}

# Metrics for Prometheus and health. opslevel-runner showed its metrics on all interfaces; without a host this does,
# too.
telemetry {
  address = ":10354"
}

# Runners choose a leader among them, which sets the replicas of their deployment as OpsLevel recommends.
scaling {
  enabled = true

  # The name of this runner's pod, which is its name in the lease.
  pod = env("RUNNER_POD_NAME", null)

  # Where the deployment is, and the lease by which runners agree on a leader.
  namespace = env("RUNNER_POD_NAMESPACE", "default")

  # The name of both.
  deployment   = "opslevel-runner"
  max_replicas = 3
}

# How jobs run in a cluster: each in a pod of its own. A bare number of a time is seconds.
kubernetes {
  # Where the pods are made.
  namespace = "opslevel"

  # How long a pod may take until its first step runs.
  start_timeout = "5m"

  # What a step asks for. What is not said here stays as by default.
  resources = {
    requests = {
      cpu    = "300m"
      memory = "512Mi"
    }
    limits = {
      cpu    = "2"
      memory = "2Gi"
    }
  }

  # The pods' service account. opslevel-runner gave jobs its token; without the second line they have none.
  service_account                 = "opslevel-jobs"
  automount_service_account_token = true

  # Labels that a node must have.
  node_selector = {
    workload = "jobs"
  }

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
      api_url   = "http://${env("OPSLEVEL_SERVICE_HOST")}:${env("OPSLEVEL_SERVICE_PORT_HTTP")}"
      api_token = env("OPSLEVEL_API_TOKEN")
    }
  }

  # These collect outcome variables, mask secrets, and put the time before each line: in this order.
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
}
