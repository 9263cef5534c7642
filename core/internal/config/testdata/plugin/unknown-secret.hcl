pipeline "default" {
  processor "test" {
    config {
      tokn = "not-for-anybodys-eyes"
    }
  }
}
