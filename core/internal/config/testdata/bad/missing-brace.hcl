pipeline "default" {
  processor "outcome" {}
