resource "google_storage_bucket" "this" {
  project                     = var.project
  name                        = var.bucket
  location                    = var.region
  force_destroy               = !var.deletion_protection
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = var.labels

  # No soft delete: it costs a week of storage, and entrepot can fetch all content again.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.fills_days
      matches_prefix = ["public/fills/"]
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.access_days
      matches_prefix = ["access/"]
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = var.fills_days
    }
  }
}

resource "google_project_iam_custom_role" "this" {
  project     = var.project
  role_id     = replace("${var.name}-bucket", "-", "_")
  title       = "entrepot: bucket access"
  description = "The permissions that entrepot needs in its bucket"

  permissions = [
    "storage.multipartUploads.abort",
    "storage.multipartUploads.create",
    "storage.multipartUploads.list",
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
  ]
}

resource "google_storage_bucket_iam_member" "this" {
  bucket = google_storage_bucket.this.name
  role   = google_project_iam_custom_role.this.id
  member = google_service_account.this.member
}

# Cloud Storage accepts only HMAC keys for S3 requests and for presigned S3 URLs.
resource "google_storage_hmac_key" "this" {
  project               = var.project
  service_account_email = google_service_account.this.email
}
