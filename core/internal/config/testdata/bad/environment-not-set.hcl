runner {
  name = env("RUNNER_TEST_UNSET")
}

pipeline "default" {
  processor "outcome" {}
}
