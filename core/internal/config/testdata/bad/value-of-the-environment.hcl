locals {
  sizes = { small = 1 }
}

runner {
  concurrency = local.sizes[env("RUNNER_TEST_SECRET")]
  name        = "${env("RUNNER_TEST_SECRET")}" + 1
}

local {
  shell = env("RUNNER_TEST_SECRET")
}

pipeline "default" {
  executor = env("RUNNER_TEST_SECRET")
  processor "outcome" {}
}
