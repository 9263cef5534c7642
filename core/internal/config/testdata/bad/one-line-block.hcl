pipeline "default" {
  deliver { max_bytes = 2000, max_interval = 3 }
}
