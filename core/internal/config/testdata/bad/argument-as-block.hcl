runner {
  concurrency {
  }
}

pipeline "default" {
  processor "outcome" {}
}
