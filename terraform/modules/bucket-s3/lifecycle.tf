# Expires leftovers of killed processes and markers of use. Blobs, manifests and tags do not expire.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  # Rules for noncurrent versions need versioning.
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    id     = "fills"
    status = "Enabled"

    filter {
      prefix = "${local.root}public/fills/"
    }

    expiration {
      days = var.fills_days
    }
  }

  rule {
    id     = "access"
    status = "Enabled"

    filter {
      prefix = "${local.root}access/"
    }

    expiration {
      days = var.access_days
    }
  }

  rule {
    id     = "multipart"
    status = "Enabled"

    filter {
      prefix = local.root
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = var.multipart_days
    }
  }

  dynamic "rule" {
    for_each = local.versioned ? [true] : []

    content {
      id     = "versions"
      status = "Enabled"

      filter {
        prefix = local.root
      }

      noncurrent_version_expiration {
        noncurrent_days = 1
      }

      expiration {
        expired_object_delete_marker = true
      }
    }
  }
}
