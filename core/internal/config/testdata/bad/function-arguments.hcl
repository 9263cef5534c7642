runner {
  name       = env()
  plugin_dir = env("A", "b", "c")
}

pipeline "default" {
  executor = hostname("x")
  processor "outcome" {}
}
