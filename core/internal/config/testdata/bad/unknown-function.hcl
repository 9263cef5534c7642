runner {
  name       = evn("HOME")
  plugin_dir = upper("x")
}

pipeline "default" {
  processor "outcome" {}
}
