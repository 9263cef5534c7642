runner {
  concurrency = 3
  concurrency = 4
}

pipeline "default" {
  processor "outcome" {}
}
