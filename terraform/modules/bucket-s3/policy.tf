locals {
  # All permissions that entrepot needs in its bucket. Its readiness check tries each of them and names a missing one.
  permissions = {
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Bucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = local.arn
      },
      {
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = "${local.arn}/${local.root}*"
      },
      ], var.kms_key_arn == null ? [] : [
      {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = var.kms_key_arn
      },
    ])
  }

  # The bucket's own policy.
  bucket_policy = {
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "OnlyOverTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.arn, "${local.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      ], [for d in aws_cloudfront_distribution.this :
      {
        Sid       = "CloudFrontReadsBlobs"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = "${local.arn}/${local.root}public/blobs/*"
        Condition = { StringEquals = { "AWS:SourceArn" = d.arn } }
      }
    ])
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode(local.bucket_policy)

  depends_on = [aws_s3_bucket_public_access_block.this]
}
