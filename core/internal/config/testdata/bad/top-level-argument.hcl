concurrency = 3

pipeline "default" {
  processor "outcome" {}
}
