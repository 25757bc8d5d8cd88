output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "arn" {
  description = "ARN of the bucket."
  value       = local.arn
}

output "policy_json" {
  description = "Policy for entrepot's role or user, with only the permissions that it needs."
  value       = jsonencode(local.permissions)
}

output "environment" {
  description = "Environment variables of entrepot for the bucket and the CDN, except the CDN's private key: set ENTREPOT_CDN_KEY_FILE or ENTREPOT_CDN_KEY."
  value = merge(
    { ENTREPOT_STORE = "s3://${aws_s3_bucket.this.bucket}${var.prefix == "" ? "" : "/${var.prefix}"}" },
    var.cloudfront == null ? {} : {
      ENTREPOT_CDN_URL    = local.cdn_url
      ENTREPOT_CDN_KEY_ID = aws_cloudfront_public_key.this[0].id
    },
  )
}

output "cdn_url" {
  description = "URL of the CloudFront distribution, or null."
  value       = local.cdn_url
}

output "cdn_arn" {
  description = "ARN of the CloudFront distribution, for the policy of a KMS key, or null."
  value       = one(aws_cloudfront_distribution.this[*].arn)
}

locals {
  cdn_url = var.cloudfront == null ? null : "https://${concat(var.cloudfront.aliases, [aws_cloudfront_distribution.this[0].domain_name])[0]}"
}
