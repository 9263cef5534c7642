pipeline "default" {
  processor "test" {
    config {
      token = "x"
      old = 1
    }
  }
}
