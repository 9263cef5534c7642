pipeline "default" {
  processor "test" {
    config {
      min_lenght = 3
      rul "a" {}
      limits = {}
      token = "t"
      pattern {
      }
    }
  }
}
