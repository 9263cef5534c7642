locals {
  constraint = {
    maxSkew      = 1
    topology_key = "zone"
  }
}

kubernetes {
  resources = {
    request = { cpu = 1 }
    limits  = { memory = "1Gb", cpu = true, "nvidia.com/gpu" = -1, disk = "1e999999999", x = ["1"], mem = 1 }
  }
  helper_resources = "small"
  tolerations = [
    { key = "dedicated", operater = "Exists" },
    { tolerationSeconds = "soon" },
    "dedicated",
    { key = "dedicated", operator = "Exist", effect = "Evict" },
  ]
  affinity = {
    nodeAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution = {
        nodeSelectorTerms = [{ matchExpressions = [{ key = "zone", operator = "In", value = ["a"] }] }]
      }
    }
  }
  topology_spread_constraints = [(local.constraint)]
  security_context            = { runAsUser = 1.5, runAsNonRoot = "yes", fsGroup = null, supplementalGroups = [1, null] }
  host_aliases                = [{ ip = "10.0.0.1", hostnames = "db" }]
  volumes                     = [{ name = "cache", hostPath = { path = "/mnt", kind = "Directory" } }]
  volume_mounts               = [{ name = "cache" }]
}

pipeline "default" {
  processor "outcome" {}
}
