kubernetes {
  labels = {
    "app.kubernetes.io/name" = "mine"
    jobID                    = "7"
    "team!"                  = "platform"
    team                     = "the platform team"
  }
  annotations = {
    "opslevel.com/job"  = "x"
    "Example.com/owner" = "any text at all"
    "/owner"            = "x"
  }
  node_selector = {
    "kubernetes.io/arch" = "amd64 or arm64"
  }
}

pipeline "default" {
  processor "outcome" {}
}
