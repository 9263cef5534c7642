telemetry {
  address   = "10354"
  namespace = "opslevel-runner"
  pprof     = "sometimes"
  port      = 10354
}

telemetry {
  address = "127.0.0.1:99999"
}

pipeline "default" {
  processor "outcome" {}
}
