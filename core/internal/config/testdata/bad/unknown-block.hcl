pipeline "default" {
  procesor "outcome" {}
  processor "sanitize" {}
}

kubernets {
}
