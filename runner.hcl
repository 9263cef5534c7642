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

# A pipeline says where jobs run and which processors see their logs. `core test` and `core replay` use the one called
# "default" unless --pipeline names another.
pipeline "default" {
  # Jobs run as processes on this machine; the image of a job is not used.
  executor = "local"

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
