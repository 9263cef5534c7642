scaling {
  enabled            = "sometimes"
  pod                = "Runner_1"
  namespace          = "a.b"
  deployment         = "runner/one"
  min_replicas       = 0
  max_replicas       = 100000
  interval           = "500ms"
  concurrency_factor = 0
  kubeconfig         = "~/.kube/config"
  context            = ""
  replicas           = 3
}

scaling {
  pod = "x"
}

pipeline "default" {
  processor "outcome" {}
}
