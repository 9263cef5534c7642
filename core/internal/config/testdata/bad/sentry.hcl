telemetry {
  sentry_dsn         = "https://not-for-anybodys-eyes@sentry.example.com/project"
  sentry_environment = "two words"
}

pipeline "default" {
  processor "sanitize" {}
}
