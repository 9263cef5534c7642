pipeline "default" {
  processor "sanitize" {
    min_length = 3
  }
}
