locals {
  team  = { team = "platform" }
  cache = { name = "cache", emptyDir = { sizeLimit = "10Gi", medium = "Memory" } }
}

kubernetes {
  kubeconfig      = "cluster/kubeconfig"
  context         = "staging"
  namespace       = "jobs"
  qps             = env("RUNNER_TEST_QPS", 20)
  burst           = 40
  request_timeout = 20
  transport       = "port_forward"
  start_timeout   = env("RUNNER_TEST_SECONDS", "60s")
  lifetime        = "2h"
  grace           = "10s"
  shell           = "/bin/bash"
  workdir         = "/srv/jobs"
  xtrace          = env("RUNNER_TEST_FALSE", true)
  tools           = { opslevel-runner = "runner-source-faktory", both = "outer" }
  spool_size      = "128MiB"

  helper_image       = "registry.example.com/runner-helper:1.2"
  helper_pull_policy = "Always"
  helper_resources   = { limits = { cpu = "500m" } }
  pull_policy        = "Never"
  resources = {
    requests = { cpu = "250m", memory = 1e9 }
    limits   = { cpu = 0.5, "nvidia.com/gpu" = 1, ephemeral-storage = null }
  }
  agent_mode        = false
  pod_security      = "restricted"
  disruption_budget = true

  service_account                 = "jobs"
  automount_service_account_token = env("RUNNER_TEST_TRUE", false)
  labels                          = local.team
  annotations                     = { "Example.com/owner" = "the platform team", cost = 7 }
  node_selector                   = { "kubernetes.io/arch" = "amd64" }
  image_pull_secrets              = ["registry", "mirror"]
  priority_class                  = "high"
  runtime_class                   = "gvisor"
  dns_policy                      = "Default"

  security_context = { runAsUser = 1000, runAsNonRoot = true, seccompProfile = { type = "RuntimeDefault" } }
  tolerations = [
    { key = "dedicated", operator = "Exists", effect = "NoSchedule" },
    { key = "spot", value = true, tolerationSeconds = "60" },
  ]
  affinity = {
    nodeAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution = {
        nodeSelectorTerms = [{ matchExpressions = [{ key = "zone", operator = "In", values = ["a", "b"] }] }]
      }
    }
  }
  topology_spread_constraints = [{
    maxSkew           = 1
    topologyKey       = "kubernetes.io/hostname"
    whenUnsatisfiable = "ScheduleAnyway"
    labelSelector     = { matchLabels = local.team }
  }]
  host_aliases  = [{ ip = "10.0.0.1", hostnames = ["db.example.com"] }]
  volumes       = [local.cache, { name = "ca", configMap = { name = "ca", optional = null } }]
  volume_mounts = [for v in ["cache", "ca"] : { name = v, mountPath = "/var/${v}" }]

  pod_overlay = <<-YAML
    spec:
      hostNetwork: true
  YAML
}

pipeline "as-above" {
  executor = "kubernetes"
  processor "sanitize" {}
}

pipeline "different" {
  processor "sanitize" {}

  kubernetes {
    context       = "production"
    start_timeout = "90s"
    xtrace        = true
    tools         = { both = "inner" }

    resources = {
      requests = { memory = "2Gi" }
      limits   = { memory = "4Gi", "nvidia.com/gpu" = null }
    }
    pod_security       = null
    labels             = { tier = "batch", team = "data" }
    image_pull_secrets = ["other"]
    security_context   = { fsGroup = 2000 }
    tolerations        = [{ operator = "Exists" }]
    affinity           = {}
    volumes            = []
    volume_mounts      = []
    pod_overlay        = ""
  }
}
