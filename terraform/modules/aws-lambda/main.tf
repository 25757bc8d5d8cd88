locals {
  # Lambda limits the size and duration of responses, so always redirect clients to blobs.
  environment = merge({ ENTREPOT_MISS = "redirect", ENTREPOT_LOG_FORMAT = "json" }, var.environment, var.secrets)
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_days
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  function_name                  = var.name
  description                    = "entrepot, a pull-through mirror for container registries"
  role                           = aws_iam_role.this.arn
  architectures                  = [var.architecture]
  memory_size                    = var.memory
  timeout                        = var.timeout
  reserved_concurrent_executions = coalesce(var.concurrency, -1)
  tags                           = var.tags

  package_type     = var.zip == null ? "Image" : "Zip"
  image_uri        = var.image
  filename         = var.zip
  source_code_hash = var.zip == null ? null : filebase64sha256(var.zip)
  runtime          = var.zip == null ? null : "provided.al2023"
  handler          = var.zip == null ? null : "bootstrap"

  environment {
    variables = local.environment
  }

  logging_config {
    log_group  = aws_cloudwatch_log_group.this.name
    log_format = "Text" # entrepot writes JSON itself
  }

  depends_on = [aws_iam_role_policy.log, aws_iam_role_policy.secrets]
}
