locals {
  overlay = <<YAML
metadata:
  labels: {team: x
spec: {}
YAML
}

kubernetes {
  pod_overlay = local.overlay
}

pipeline "twice" {
  processor "outcome" {}

  kubernetes {
    pod_overlay = <<YAML
metadata:
  labels:
    team: x
    team: y
YAML
  }
}

pipeline "documents" {
  processor "outcome" {}

  kubernetes {
    pod_overlay = "metadata: {}\n---\nspec: {}\n"
  }
}

pipeline "interpolated" {
  processor "outcome" {}

  kubernetes {
    pod_overlay = <<YAML
metadata:
  annotations: { site: "${env("RUNNER_TEST_SECRET")}" }
  name: x
YAML
  }
}

pipeline "list" {
  processor "outcome" {}

  kubernetes {
    pod_overlay = "[]"
  }
}

pipeline "file" {
  processor "outcome" {}

  kubernetes {
    pod_overlay = file("overlay.yaml")
  }
}
