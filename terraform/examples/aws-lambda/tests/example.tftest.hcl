mock_provider "aws" {
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }
}

run "apply" {
  command = apply
  variables {
    bucket = "images-of-example"
    zip    = "main.tf" # any file
  }

  assert {
    condition     = strcontains(output.client_config.hosts_toml, "[host.\"https://abc.lambda-url.eu-central-1.on.aws\"]")
    error_message = output.client_config.hosts_toml
  }
}
