kubernetes {
  volumes      = { name = "cache" }
  tolerations  = "all"
  labels       = ["team"]
  annotations  = { a = null }
  affinity     = []
  host_aliases = [{ hostnames = ["db"] }]
}

pipeline "default" {
  processor "outcome" {}
}
