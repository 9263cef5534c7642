pipeline "default" {
  processor "test" {
    config {
    }
  }
}
