kubernetes {
  resources = {
    requests = { cpu = "250m" }
    limits   = { cpu = "200m", memory = "512Mi" }
  }
  helper_resources = { requests = { memory = "1Gi" } }
}

pipeline "same" {
  processor "outcome" {}
}

pipeline "worse" {
  processor "outcome" {}

  kubernetes {
    resources = { requests = { memory = "256Mi", cpu = "300m" } }
  }
}
