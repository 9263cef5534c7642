runner {
  name = "a[31mb" + c
}

pipeline "default" {
  processor "outcome" {}
}
