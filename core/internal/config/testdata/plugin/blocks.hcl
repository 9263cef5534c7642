pipeline "default" {
  processor "test" {
    config {
      token = "x"
      limits {
        cpu = 1
      }
      limits {
        cpu = 2
      }
      step {}
      step "x" { name = "n" }
      step { name = "n" }
      step { name = "n" }
      rule "a" {}
      rule "a" {}
      rule {}
    }
  }
}
