locals {
  home = "/srv/${local.site}"
  site = env("RUNNER_TEST_SITE", "here")
}

runner {
  name        = "runner-${local.site}"
  concurrency = env("RUNNER_TEST_UNSET", 7)
  plugin_dir  = "plugins"
}

local {
  shell    = "/bin/bash"
  workdir  = "${local.home}/jobs"
  lifetime = "2h30m"
  grace    = 1.5
  tools    = { opslevel-runner = "runner-source-faktory", both = "outer" }
}

telemetry {
  address   = ":9090"
  namespace = "jobs"
  pprof     = true

  sentry_dsn         = "https://0123abc@sentry.example.com/path/7"
  sentry_environment = "staging"
}

scaling {
  enabled            = true
  pod                = "runner-7d9f-x2"
  namespace          = "runners"
  deployment         = "opslevel-runner"
  min_replicas       = env("RUNNER_TEST_UNSET", "2")
  max_replicas       = 5
  interval           = 90
  concurrency_factor = 1
  kubeconfig         = "kubeconfig"
  context            = "here"
}

plugin "sanitize" {
  checksum  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  env       = ["SSL_CERT_FILE"]
  log_level = "debug"
}

pipeline "first" {
  executor = "local"

  source "opslevel" {
    config {
      api_token = env("RUNNER_TEST_UNSET")
    }
  }

  processor "outcome" {
    on_error = "pass"
  }
  processor "sanitize" {
    config {
      min_length = 3
    }
  }
  processor "prefix" {}
  processor "prefix" {
    on_error = "drop"
  }

  deliver {
    max_bytes    = "31KiB"
    max_interval = "5s"
  }

  local {
    xtrace = false
    grace  = "0s"
    tools  = { mine = "a_tool.sh", both = "inner" }
  }
}

pipeline "second" {
  processor "sanitize" {}
}
