pipeline "default" {
  processor "test" {
    config {
      token = "x"
      grade = "not-for-anybodys-eyes"
    }
  }
}
