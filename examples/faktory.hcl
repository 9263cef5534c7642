# A runner that takes its jobs from a Faktory queue. `make dev` starts one with this file, and a real Faktory with it.
#
# The format is HCL: blocks with a name in front of the braces, arguments with an equals sign inside, comments after #.
# docs/configuration.md tells what else may stand here, docs/faktory.md what this source can do.

runner {
  # Tells this runner from others; env() reads an environment variable, and takes the second value when it is not set.
  name = env("RUNNER_POD_NAME", hostname())

  # How many jobs run at once.
  concurrency = 5

  # How long running jobs may go on when the runner is told to stop.
  drain_timeout = "1m"
}

# Where to look: http://127.0.0.1:10354/metrics, and /readyz for whether all is well.
telemetry {
  address = "127.0.0.1:10354"
}

# For jobs in pods.
kubernetes {
  namespace = env("OPSLEVEL_JOB_POD_NAMESPACE", "default")

  # At a desk there is little room: jobs of this example need next to nothing.
  resources = {
    requests = { cpu = "50m", memory = "32Mi" }
  }
}

pipeline "default" {
  # "kubernetes" runs each job in a pod of its own, "local" on this machine.
  executor = env("RUNNER_EXECUTOR", "kubernetes")

  source "faktory" {
    config {
      # As Faktory's own clients do: FAKTORY_PROVIDER names the variable with the address, which else is FAKTORY_URL.
      url = env(env("FAKTORY_PROVIDER", "FAKTORY_URL"), "tcp://localhost:7419")

      # Jobs are taken from the first queue as long as it has any, then from the second.
      queues = ["runner", "default"]
    }
  }

  # Collects outcome variables, masks secrets, puts the time before each line: in this order.
  processor "outcome" {}
  processor "sanitize" {}
  processor "prefix" {}
}
