locals {
  root = var.prefix == "" ? "" : "${var.prefix}/"
  arn  = "arn:aws:s3:::${var.bucket}"

  # All permissions that entrepot needs in its bucket. Its readiness check tries each of them and names a missing one.
  permissions = {
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = [local.arn]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = ["${local.arn}/${local.root}*"]
      },
    ]
  }
}

resource "minio_s3_bucket" "this" {
  bucket        = var.bucket
  acl           = "private"
  force_destroy = var.force_destroy
  quota         = var.quota
}

# Blobs, manifests and tags do not expire.
resource "minio_ilm_policy" "this" {
  bucket = minio_s3_bucket.this.bucket

  rule {
    id         = "fills"
    filter     = "${local.root}public/fills/"
    expiration = "${var.fills_days}d"
  }

  rule {
    id         = "access"
    filter     = "${local.root}access/"
    expiration = "${var.access_days}d"
  }
}

resource "minio_iam_policy" "this" {
  name   = "${var.user}-${var.bucket}"
  policy = jsonencode(local.permissions)
}

resource "minio_iam_user" "this" {
  name          = var.user
  force_destroy = true
}

resource "minio_iam_user_policy_attachment" "this" {
  user_name   = minio_iam_user.this.id
  policy_name = minio_iam_policy.this.id
}
