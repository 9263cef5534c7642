pipeline "default" {
  processor "test" {
    config { tken = "not-for-anybodys-eyes" }
  }
}
