kubernetes {
  pod_overlay = <<-YAML
    metadata:
      $patch: replace
      labels: null
      annotations:
        $patch: delete
        mode: mine
    spec:
      $setElementOrder/containers: [{name: job}]
      $retainKeys: [containers]
      hostPID: true
      ephemeralContainers: []
      containers:
        - $patch: replace
        - name: job
          $patch: delete
          env:
            - $patch: delete
              name: HOME
            - name: PATH
          envFrom: null
          volumeMounts:
            - $patch: replace
            - name: mine
              mountPath: /opslevel/x
        - name: sidecar
          volumeMounts:
            - {name: files, mountPath: /files}
      initContainers:
        - name: helper
      volumes: null
      affinity:
        $patch: remove
  YAML
}

pipeline "default" {
  processor "outcome" {}

  kubernetes {
    pod_overlay = <<-JSON
      {
        "spec": {
          "containers": [
            {"name": "job", "volumeMounts": [{"name": "cache"}]}
          ]
        }
      }
    JSON
  }
}
