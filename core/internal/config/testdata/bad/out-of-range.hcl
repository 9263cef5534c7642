runner {
  concurrency = 0
}

pipeline "default" {
  processor "outcome" {}

  deliver {
    max_bytes    = "100MB"
    max_interval = "2h"
  }
}
