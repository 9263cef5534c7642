pipeline "default" {
  executor = "locl"

  processor "outcome" {
    on_error = "ignore"
  }
}
