pipeline "my pipeline" {
  processor "../outcome" {}
}

plugin "Sanitize" {}
