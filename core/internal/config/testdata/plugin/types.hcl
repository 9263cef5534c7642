pipeline "default" {
  processor "test" {
    config {
      token    = ["not-for-anybodys-eyes"]
      enabled  = "maybe"
      retries  = 1.5
      ratio    = "half"
      interval = "soon"
      size     = "12 parsecs"
      pattern  = "a(b"
      queues   = "one"
      labels   = ["a"]
    }
  }
}
