runner {
  concurrency = 99999999999999999999
}

local {
  lifetime = 1e30
}

pipeline "default" {
  processor "outcome" {}
}
