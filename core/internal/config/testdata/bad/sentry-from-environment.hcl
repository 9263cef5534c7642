telemetry {
  sentry_dsn = env("RUNNER_TEST_SECRET")
}

pipeline "default" {
  processor "sanitize" {}
}
