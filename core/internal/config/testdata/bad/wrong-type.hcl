runner {
  name        = ["a", "b"]
  concurrency = "three"
}

local {
  xtrace = "perhaps"
  grace  = true
}

pipeline "default" {
  processor "outcome" {}
}
