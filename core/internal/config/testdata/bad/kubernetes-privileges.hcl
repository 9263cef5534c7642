kubernetes {
  agent_mode = true
}

pipeline "default" {
  processor "outcome" {}

  kubernetes {
    pod_security = "restricted"
  }
}
