kubernetes {
  qps = 10
}

kubernetes {
  burst = 10
}

pipeline "default" {
  processor "outcome" {}
}
