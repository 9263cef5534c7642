runner {
  concurency = 3
  colour     = "red"
}

pipeline "default" {
  processor "outcome" {}
}
