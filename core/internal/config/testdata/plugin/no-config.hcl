pipeline "default" {
  processor "test" {}
}
