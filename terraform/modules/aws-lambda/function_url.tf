locals {
  function_url = var.endpoint == "function-url"
}

# Public, since container runtimes cannot sign requests for AWS.
resource "aws_lambda_function_url" "this" {
  count              = local.function_url ? 1 : 0
  function_name      = aws_lambda_function.this.function_name
  authorization_type = "NONE"
  invoke_mode        = "BUFFERED"
}

resource "aws_lambda_permission" "url" {
  count                  = local.function_url ? 1 : 0
  statement_id           = "FunctionURL"
  function_name          = aws_lambda_function.this.function_name
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "*"
  function_url_auth_type = "NONE"
}

# Since October 2025 a Function URL needs this permission too. InvokedViaFunctionUrl limits it to the URL. Not all 6.x
# versions of the provider support that condition in aws_lambda_permission.
resource "aws_cloudcontrolapi_resource" "invoke" {
  count     = local.function_url ? 1 : 0
  type_name = "AWS::Lambda::Permission"

  desired_state = jsonencode({
    FunctionName          = aws_lambda_function.this.arn
    Action                = "lambda:InvokeFunction"
    Principal             = "*"
    InvokedViaFunctionUrl = true
  })
}
