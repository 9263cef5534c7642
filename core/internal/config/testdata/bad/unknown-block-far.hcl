server {
}

pipeline "default" {
  processor "outcome" {}
}
