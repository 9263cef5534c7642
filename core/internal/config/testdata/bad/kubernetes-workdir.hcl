kubernetes {
  workdir = "/"
}

pipeline "one" {
  processor "outcome" {}
  kubernetes {
    workdir = "/jobs/../mount"
  }
}

pipeline "two" {
  processor "outcome" {}
  kubernetes {
    workdir    = "/run/runner/x"
    spool_size = "17GiB"
    kubeconfig = ""
  }
}
