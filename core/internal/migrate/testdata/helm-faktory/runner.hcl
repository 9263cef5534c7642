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
# * --api-url: "api-url" is not taken over: opslevel-runner took no jobs from OpsLevel in the mode faktory, and this
#   does not ask it anything.

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
      memory = "2Gi"
    }
  }

  # Jobs find this program at /mount/opslevel-runner, to push jobs with: /mount/opslevel-runner enqueue -f job.yaml.
  tools = { "opslevel-runner" = "runner-source-faktory" }

  # What opslevel-runner did for every job, and has to be asked for here:
  # disruption_budget = true keeps nodes from being drained under a job.
  # automount_service_account_token = true gives jobs the token of their service account.
}

# Where jobs come from, and which processors see their logs.
pipeline "default" {
  # Jobs come from the queues of a Faktory server.
  source "faktory" {
    config {
      # FAKTORY_PROVIDER names the variable with the address, which else is FAKTORY_URL.
      url = env(env("FAKTORY_PROVIDER", "FAKTORY_URL"), "tcp://localhost:7419")

      # Jobs are taken from the first queue as long as it has any, then from the next one.
      queues = ["runner"]

      # Jobs are given both, so that they can push jobs. The address holds a password, so it is masked in their logs;
      # without the second line they do not get it.
      provider = env("FAKTORY_PROVIDER", null)
      pass_url = true
    }
  }

  # These collect outcome variables, mask secrets, and put the time before each line: in this order.
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
}
