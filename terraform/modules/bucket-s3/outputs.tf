output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "arn" {
  description = "ARN of the bucket."
  value       = local.arn
}

output "policy_json" {
  description = "What entrepot must be permitted, and no more: a policy for its role or user."
  value       = jsonencode(local.permissions)
}

output "environment" {
  description = "Variables that tell entrepot of the bucket, and of the CDN but for its private key: that goes into ENTREPOT_CDN_KEY_FILE or ENTREPOT_CDN_KEY."
  value = merge(
    { ENTREPOT_STORE = "s3://${aws_s3_bucket.this.bucket}${var.prefix == "" ? "" : "/${var.prefix}"}" },
    var.cloudfront == null ? {} : {
      ENTREPOT_CDN_URL    = local.cdn_url
      ENTREPOT_CDN_KEY_ID = aws_cloudfront_public_key.this[0].id
    },
  )
}

output "cdn_url" {
  description = "URL of the CloudFront distribution; null where there is none."
  value       = local.cdn_url
}

output "cdn_arn" {
  description = "ARN of the CloudFront distribution, for the policy of a key of KMS; null where there is none."
  value       = one(aws_cloudfront_distribution.this[*].arn)
}

locals {
  cdn_url = var.cloudfront == null ? null : "https://${concat(var.cloudfront.aliases, [aws_cloudfront_distribution.this[0].domain_name])[0]}"
}
