# The configuration of the runner, made by `core migrate` of what opslevel-runner was configured by. The format is
# HCL: blocks with a name in front of the braces, arguments with an equals sign inside, comments after #.
#
# What is not here is as by default. docs/configuration.md has all settings, docs/migrating.md what is different from
# opslevel-runner; `core validate` checks this file, `core fmt` puts its spaces right.
#
# It reads the variables of opslevel-runner that were set when it was made, and those that could override what its
# file said. The shipped runner.hcl reads all of them.

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

# How jobs run in a cluster: each in a pod of its own. A bare number of a time is seconds.
kubernetes {
  # Where the pods are made.
  namespace = env("OPSLEVEL_JOB_POD_NAMESPACE", "default")

  # What opslevel-runner did for every job, and has to be asked for here:
  # disruption_budget = true keeps nodes from being drained under a job.
  # automount_service_account_token = true gives jobs the token of their service account.
  # tools = { "opslevel-runner" = "runner-source-faktory" } is for jobs that call /mount/opslevel-runner enqueue.
}

# Where jobs come from, and which processors see their logs.
pipeline "default" {
  # Jobs come from OpsLevel.
  source "opslevel" {
    config {
      api_token = env("OPSLEVEL_API_TOKEN")
    }
  }

  # These collect outcome variables, mask secrets, and put the time before each line: in this order.
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
}
