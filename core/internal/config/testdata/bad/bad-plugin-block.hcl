plugin "outcome" {
  checksum  = "md5:1234"
  env       = ["HOME", "MY VAR", "PLUGIN_MIN_PORT"]
  log_level = "verbose"
}

pipeline "default" {
  processor "outcome" {}
}
