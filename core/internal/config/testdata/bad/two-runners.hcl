runner {
  concurrency = 3
}

pipeline "default" {
  processor "outcome" {}
}

runner {
  name = "other"
}
