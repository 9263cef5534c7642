kubernetes {
  pod_overlay = <<YAML
spec:
  tolerations:
    - key: dedicated
      efect: NoSchedule
  priority: high
  containers:
    - name: sidecar
      resources:
        limits:
          memory: 1Gb
      env:
        - name: A
          value: true
YAML
}

pipeline "default" {
  processor "outcome" {}
}
