locals {
  a = 1
}

locals {
  a = 2

  inner {}
}

pipeline "default" {
  processor "outcome" {}
}
