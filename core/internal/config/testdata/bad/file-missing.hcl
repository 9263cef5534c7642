runner {
  name = file("no/such/file")
}

local {
  shell = file(".")
}

pipeline "default" {
  processor "outcome" {}
}
