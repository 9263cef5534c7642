plugin "outcome" {
  env = ["A"]
}

plugin "outcome" {
  env = ["B"]
}

pipeline "default" {
  processor "outcome" {}
}
