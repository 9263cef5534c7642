locals {
  workers = 3
}

runner {
  concurrency = local.wokers
  name        = local.nothing
}

pipeline "default" {
  processor "outcome" {}
}
