locals {
  name = env("RUNNER_TEST_EMPTY")
}

runner {
  name = "runner-${local.name}"
}

pipeline "default" {
  processor "outcome" {}
}
