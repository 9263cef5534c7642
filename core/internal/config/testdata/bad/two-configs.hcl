pipeline "default" {
  processor "prefix" {
    config {}
    config {}
  }

  deliver {}
  deliver {}
}
