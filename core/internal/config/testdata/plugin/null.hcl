pipeline "default" {
  processor "test" {
    config {
      token = null
      mode = null
    }
  }
}
