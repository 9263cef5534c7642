kubernetes {
  kubeconfig         = "~/.kube/config"
  context            = ""
  namespace          = "My_Jobs"
  qps                = 0
  burst              = 0
  transport          = "tunnel"
  start_timeout      = "25h"
  lifetime           = "0s"
  grace              = "2h"
  shell              = "sh"
  workdir            = "/opslevel/jobs"
  spool_size         = "4KiB"
  helper_image       = "runner helper"
  helper_pull_policy = "Sometimes"
  pull_policy        = "ifnotpresent"
  pod_security       = "baseline"
  service_account    = "Runner_Jobs"
  priority_class     = "High"
  runtime_class      = "-gvisor"
  dns_policy         = "ClusterFirstWithHost"
  image_pull_secrets = ["registry", "Registry 2"]
  agent_mode         = "perhaps"
}

pipeline "default" {
  processor "outcome" {}
}
