runner {
  concurrency = 2.5
}

pipeline "default" {
  processor "outcome" {}
}
