scaling {
  enabled = true
}

pipeline "default" {
  processor "outcome" {}
}
