local {
  lifetime = "1 hour"
  grace    = -5
}

pipeline "default" {
  processor "outcome" {}
}
