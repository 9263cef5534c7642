pipeline "default" {
  executor = "local"
}
