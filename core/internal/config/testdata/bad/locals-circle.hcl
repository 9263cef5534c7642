locals {
  a = local.b
  b = "${local.c}!"
  c = local.a
  d = local.d
}

runner {
  name = local.a
}

pipeline "default" {
  processor "outcome" {}
}
