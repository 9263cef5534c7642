pipeline "default" {
  processor "outcome" {}
}

pipeline "default" {
  processor "sanitize" {}
}
