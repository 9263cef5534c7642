kubernetes {
  pod_overlay = <<-YAML
    apiVersion: v2
    kind: Deployment
    metadata:
      name: mine
      namespace: elsewhere
      labels:
        app.kubernetes.io/name: mine
        team: platform
    spec:
      restartPolicy: Always
      activeDeadlineSeconds: 60
      terminationGracePeriodSeconds: 60
      shareProcessNamespace: true
      hostNetwork: true
      containers:
        - name: helper
          image: mine
          securityContext:
            runAsUser: 0
        - name: job
          command: ["sh"]
          image: alpine
          env:
            - name: HTTP_PROXY
              value: http://proxy
          volumeMounts:
            - name: tools
              mountPath: /tools
        - image: sidecar
      volumes:
        - name: step-job
          emptyDir: {}
        - $patch: replace
    status: {}
  YAML
}

pipeline "default" {
  processor "outcome" {}
}
