telemetry {
  address = "127.0.0.1:99999"
}

pipeline "default" {
  processor "outcome" {}
}
