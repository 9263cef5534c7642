kubernetes {
  workdir = "/work"
  volumes = [
    { name = "cache", emptyDir = { sizeLimit = "1Gi" } },
    { name = "workspace", emptyDir = {} },
    { name = "cache", emptyDir = {} },
    { name = "Big Disk", hostPath = { path = "/mnt/big" } },
  ]
}

pipeline "one" {
  processor "outcome" {}

  kubernetes {
    volumes = [
      { name = "tools", emptyDir = {} },
      { name = "Cache", emptyDir = {} },
      { name = "big", emptyDir = {} },
      { name = "big", emptyDir = {} },
    ]
    volume_mounts = [
      { name = "files", mountPath = "/files" },
      { name = "big", mountPath = "big" },
      { name = "big", mountPath = "/work/big" },
      { name = "big", mountPath = "/opslevel" },
    ]
  }
}

pipeline "two" {
  processor "outcome" {}
}

pipeline "three" {
  processor "outcome" {}
}
