runner {
  name = "café"
}
