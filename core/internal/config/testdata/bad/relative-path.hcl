local {
  shell   = "sh"
  workdir = "/"
}

pipeline "default" {
  processor "outcome" {}

  local {
    workdir = "jobs"
  }
}
