pipeline "default" {
  processor "test" {
    config {
      token = "x"
      mode = "fsat"
      modes = ["fast", "slow", "slwo"]
    }
  }
}
