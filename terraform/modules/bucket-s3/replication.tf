resource "aws_iam_role" "replication" {
  count = local.versioned ? 1 : 0
  name  = "${substr(var.name, 0, 52)}-replication" # role names have at most 64 characters
  tags  = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "s3.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "replication" {
  count = local.versioned ? 1 : 0
  name  = "replication"
  role  = aws_iam_role.replication[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = local.arn
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = "${local.arn}/${local.root}public/*"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = "${var.replication.bucket_arn}/${local.root}public/*"
      },
    ]
  })
}

# Fills in progress and markers of use are not replicated.
resource "aws_s3_bucket_replication_configuration" "this" {
  count  = local.versioned ? 1 : 0
  bucket = aws_s3_bucket.this.id
  role   = aws_iam_role.replication[0].arn

  depends_on = [aws_s3_bucket_versioning.this]

  dynamic "rule" {
    for_each = ["blobs", "manifests", "tags"]

    content {
      id       = rule.value
      priority = rule.key
      status   = "Enabled"

      filter {
        prefix = "${local.root}public/${rule.value}/"
      }

      delete_marker_replication {
        status = "Enabled"
      }

      destination {
        bucket        = var.replication.bucket_arn
        storage_class = var.replication.storage_class
      }
    }
  }
}
