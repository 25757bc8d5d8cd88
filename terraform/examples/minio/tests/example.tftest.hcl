mock_provider "minio" {}

run "apply" {
  command = apply

  assert {
    condition     = output.environment.ENTREPOT_STORE == "minio://minio.example.com:9000/images"
    error_message = jsonencode(output.environment)
  }
}
