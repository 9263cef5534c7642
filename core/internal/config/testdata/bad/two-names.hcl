pipeline "default" {
  processor "outcome" "first" {}
}

runner "main" {}
