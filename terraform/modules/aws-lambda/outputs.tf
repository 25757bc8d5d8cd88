locals {
  url = trimsuffix(
    var.domain != null ? "https://${var.domain.name}" :
    local.api_gateway ? aws_apigatewayv2_api.this[0].api_endpoint : aws_lambda_function_url.this[0].function_url,
    "/",
  )
}

module "client_config" {
  source = "../client-config"
  url    = local.url
}

output "url" {
  description = "URL of entrepot for clients."
  value       = local.url
}

output "client_config" {
  description = "Client configuration by file."
  value       = module.client_config.config
}

output "domain_target" {
  description = "Target for the CNAME record of the custom domain, if you manage its DNS yourself. Null without a domain."
  value       = one(aws_apigatewayv2_domain_name.this[*].domain_name_configuration[0].target_domain_name)
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.this.arn
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}
