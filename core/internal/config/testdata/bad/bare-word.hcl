locals {
  shell = "/bin/sh"
}

local {
  shell   = shell
  workdir = jobs
}

pipeline "default" {
  processor "outcome" {}
}
