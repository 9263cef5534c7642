kubernetes {
  namespace     = env("RUNNER_TEST_SECRET")
  start_timeout = env("RUNNER_TEST_SECRET")
  context       = env("RUNNER_TEST_UNSET")
  labels        = { team = "a ${env("RUNNER_TEST_SECRET")}" }
  resources     = { limits = { (env("RUNNER_TEST_SECRET")) = env("RUNNER_TEST_SECRET"), cpu = env("RUNNER_TEST_SECRET") } }
  tolerations   = [{ (env("RUNNER_TEST_SECRET")) = 1 }]
}

pipeline "default" {
  processor "outcome" {}
}
