plugin "outcome" {
  env = ["HOME", null]
}

pipeline "default" {
  processor "outcome" {}
}
