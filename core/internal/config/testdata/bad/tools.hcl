kubernetes {
  tools = {
    "runner-helper" = "runner-source-faktory"
    "bin/tool"      = "tool"
    tool            = "../core"
    good            = "runner-helper"
  }
}

local {
  tools = { spool = "tool", ".." = "tool", a = "", b = 1 }
}

pipeline "default" {
  processor "sanitize" {}

  local {
    tools = ["tool"]
  }
}
