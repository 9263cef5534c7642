pipeline "default" {
  processor "test" {
    config {
      token    = "x"
      queues   = ["a", ["b"], null]
      weights  = { a = 1, b = "two", c = 3 }
      waits    = ["1s", "2x", -3]
    }
  }
}
