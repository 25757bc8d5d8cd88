mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::images-of-example-replica" }
  }
}

run "apply" {
  command = apply
  variables {
    name           = "images-of-example"
    public_key_pem = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
  }

  assert {
    condition     = startswith(output.environment.ENTREPOT_CDN_URL, "https://")
    error_message = jsonencode(output.environment)
  }
}
