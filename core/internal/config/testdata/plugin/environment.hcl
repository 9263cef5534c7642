pipeline "default" {
  processor "test" {
    config {
      token = env("RUNNER_TEST_UNSET")
      mode = env("RUNNER_TEST_SECRET")
      queues = [env("RUNNER_TEST_SECRET"), env("RUNNER_TEST_UNSET")]
    }
  }
}
