resource "google_secret_manager_secret" "hmac" {
  project   = var.project
  secret_id = "${var.name}-hmac"
  labels    = var.labels

  replication {
    auto {}
  }
}

# Write-only, so that the state has the key only once, in google_storage_hmac_key.
resource "google_secret_manager_secret_version" "hmac" {
  secret                 = google_secret_manager_secret.hmac.id
  secret_data_wo         = google_storage_hmac_key.this.secret
  secret_data_wo_version = 1

  lifecycle {
    replace_triggered_by = [google_storage_hmac_key.this]
  }
}

resource "google_secret_manager_secret_iam_member" "this" {
  for_each  = merge({ AWS_SECRET_ACCESS_KEY = google_secret_manager_secret.hmac.secret_id }, var.secrets)
  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}
