# Jobs in a cluster that is shared with others: on nodes of their own, with a cache, through a proxy.
# `core validate --config examples/kubernetes.hcl` checks this file; docs/configuration.md describes every setting.

# What several pipelines need, with a name.
locals {
  team = { team = "platform" }
}

# For all pipelines.
kubernetes {
  context   = env("KUBE_CONTEXT", null) # the current one of the kubeconfig, unless the variable says otherwise
  namespace = "jobs"

  labels             = local.team
  service_account    = "jobs"
  image_pull_secrets = ["registry"]
  disruption_budget  = true

  # The names inside of such values are those of Kubernetes' API.
  node_selector = { "kubernetes.io/arch" = "amd64" }
  tolerations   = [{ key = "dedicated", operator = "Equal", value = "jobs", effect = "NoSchedule" }]

  # Spread the jobs over the nodes, as far as that can be done.
  topology_spread_constraints = [{
    maxSkew           = 1
    topologyKey       = "kubernetes.io/hostname"
    whenUnsatisfiable = "ScheduleAnyway"
    labelSelector     = { matchLabels = local.team }
  }]

  # A quarter of a CPU is put aside for a job, which may take as many as are free: there is no limit any more.
  resources = {
    requests = { cpu = "250m" }
    limits   = { cpu = null }
  }
}

pipeline "default" {
  processor "outcome" {}
  processor "sanitize" {}

  # Steps run as a user without rights, in a namespace that enforces this.
  kubernetes {
    pod_security     = "restricted"
    security_context = { runAsUser = 1000, fsGroup = 1000 }
  }
}

pipeline "builds" {
  processor "outcome" {}
  processor "sanitize" {}

  # Here only what is different: more of everything, and a cache that jobs on the same node share.
  kubernetes {
    lifetime = "4h"
    resources = {
      requests = { memory = "4Gi" }
      limits   = { memory = "16Gi" }
    }
    volumes       = [{ name = "cache", hostPath = { path = "/var/cache/jobs", type = "DirectoryOrCreate" } }]
    volume_mounts = [{ name = "cache", mountPath = "/var/cache/build" }]

    # What has no setting of its own is patched into the pod.
    pod_overlay = <<-YAML
      spec:
        dnsConfig:
          options: [{name: ndots, value: "1"}]
        containers:
          - name: job
            env: [{name: HTTPS_PROXY, value: "http://localhost:3128"}]
          - name: proxy
            image: registry.example.com/proxy:1
    YAML
  }
}
