scaling {
  enabled = true
  pod     = env("RUNNER_TEST_EMPTY", "")
}

pipeline "default" {
  processor "outcome" {}
}
