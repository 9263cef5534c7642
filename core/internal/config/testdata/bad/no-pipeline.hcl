runner {
  concurrency = 3
}
