kubernetes {
  name_space     = "jobs"
  label          = { team = "x" }
  service_accont = "jobs"
  secret         = "x"

  resources {
    limits = { cpu = 1 }
  }
}

pipeline "default" {
  processor "outcome" {}

  kubernetes "mine" {
    tolerations = [{ key = "a", efect = "NoSchedule" }]
  }
}
