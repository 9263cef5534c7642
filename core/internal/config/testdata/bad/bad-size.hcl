pipeline "default" {
  processor "outcome" {}

  deliver {
    max_bytes = "31 kilo"
  }
}
