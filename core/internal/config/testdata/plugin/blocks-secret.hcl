pipeline "default" {
  processor "test" {
    config {
      token = "x"
      lmits { key = "not-for-anybodys-eyes" }
      limits { cpu = 1 }
      limits { key = "not-for-anybodys-eyes" }
    }
  }
}
