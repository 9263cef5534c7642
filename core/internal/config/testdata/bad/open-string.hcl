pipeline "default" {
  source "opslevel" {
    config {
      api_token = "not-for-anybodys-eyes
    }
  }
}
