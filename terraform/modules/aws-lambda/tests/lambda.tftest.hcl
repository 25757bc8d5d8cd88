mock_provider "aws" {
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = { api_endpoint = "https://abc.execute-api.eu-central-1.amazonaws.com" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/mirror" }
  }
}

variables {
  name        = "mirror"
  zip         = "main.tf" # any file
  policy_json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  environment = { ENTREPOT_STORE = "s3://images" }
}

run "function_url" {
  command = apply

  assert {
    condition     = output.url == "https://abc.lambda-url.eu-central-1.on.aws"
    error_message = "the URL is ${output.url}"
  }
  assert {
    condition     = jsondecode(output.client_config.daemon_json)["registry-mirrors"] == ["https://abc.lambda-url.eu-central-1.on.aws"]
    error_message = output.client_config.daemon_json
  }
  assert {
    condition     = aws_lambda_function.this.environment[0].variables.ENTREPOT_MISS == "redirect"
    error_message = "ENTREPOT_MISS is not redirect"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.log.policy).Statement[0].Resource == "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/mirror:*"
    error_message = "wrong log group: ${aws_iam_role_policy.log.policy}"
  }
  assert {
    condition     = length(aws_apigatewayv2_api.this) == 0 && length(aws_iam_role.jobs) == 0
    error_message = "unexpected optional resources"
  }
  assert {
    condition     = length(aws_iam_role_policy.secrets) == 0
    error_message = "the function may read secrets"
  }
}

run "api_gateway_with_domain_and_job" {
  command = apply
  variables {
    zip      = null
    image    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/entrepot@sha256:0123456789012345678901234567890123456789012345678901234567890123"
    endpoint = "api-gateway"
    domain   = { name = "mirror.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0" }
    secrets  = { ENTREPOT_DOCKER_CONFIG = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:docker-AAAAAA" }
    jobs     = { gc = { schedule = "rate(1 day)", event = "{\"command\":\"gc\"}" } }
  }

  assert {
    condition     = output.url == "https://mirror.example.com"
    error_message = "the URL is ${output.url}"
  }
  assert {
    condition     = aws_lambda_function.this.package_type == "Image" && aws_lambda_function.this.runtime == null
    error_message = "a function from an image must not set a runtime"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.secrets[0].policy).Statement[0].Resource == [aws_lambda_function.this.environment[0].variables.ENTREPOT_DOCKER_CONFIG]
    error_message = "the function may not read its secret, or lacks its ARN"
  }
  assert {
    condition     = length(aws_lambda_function_url.this) == 0 && length(aws_cloudcontrolapi_resource.invoke) == 0
    error_message = "the function has a Function URL besides the API Gateway"
  }
}

run "neither_zip_nor_image" {
  command = plan
  variables { zip = null }
  expect_failures = [var.zip]
}

run "domain_without_api_gateway" {
  command = plan
  variables { domain = { name = "mirror.example.com", certificate_arn = "arn" } }
  expect_failures = [var.domain]
}

run "image_by_tag" {
  command = plan
  variables {
    zip   = null
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/entrepot:latest"
  }
  expect_failures = [var.image]
}

run "folder_and_secret_in_environment" {
  command = plan
  variables { environment = { ENTREPOT_STORE = "file:./data", ENTREPOT_CDN_KEY = "secret" } }
  expect_failures = [var.environment]
}

run "unsupported_secret" {
  command = plan
  variables { secrets = { AWS_SECRET_ACCESS_KEY = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-AAAAAA" } }
  expect_failures = [var.secrets]
}

run "invalid_values" {
  command = plan
  variables {
    name         = "a_b"
    architecture = "amd64"
    memory       = 64
    timeout      = 10
    concurrency  = 0
    policy_json  = "{}"
    endpoint     = "alb"
    secrets      = { ENTREPOT_CDN_KEY = "-----BEGIN PRIVATE KEY-----" }
    jobs         = { gc = { schedule = "daily", event = "{}" } }
    log_days     = 2
  }
  expect_failures = [
    var.name, var.architecture, var.memory, var.timeout, var.concurrency, var.policy_json, var.endpoint, var.secrets, var.jobs, var.log_days,
  ]
}
