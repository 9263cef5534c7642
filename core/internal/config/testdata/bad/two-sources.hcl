pipeline "default" {
  source "opslevel" {}
  source "faktory" {}
}
