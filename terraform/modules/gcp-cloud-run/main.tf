locals {
  environment = merge({
    ENTREPOT_STORE      = "minio://storage.googleapis.com/${google_storage_bucket.this.name}"
    ENTREPOT_LOG_FORMAT = "json"
    AWS_ACCESS_KEY_ID   = google_storage_hmac_key.this.access_id
    AWS_REGION          = "auto"
    # Cloud Run limits responses with a Content-Length to 32 MiB.
    ENTREPOT_MISS = "redirect"
  }, var.environment)
}

resource "google_service_account" "this" {
  project      = var.project
  account_id   = var.name
  display_name = "entrepot"
}

resource "google_cloud_run_v2_service" "this" {
  project             = var.project
  location            = var.region
  name                = var.name
  ingress             = var.ingress
  deletion_protection = var.deletion_protection
  labels              = var.labels

  template {
    service_account                  = google_service_account.this.email
    max_instance_request_concurrency = var.concurrency
    timeout                          = "300s"
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = var.instances.min
      max_instance_count = var.instances.max
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = tostring(var.cpu), memory = "${var.memory}Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.environment

        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "AWS_SECRET_ACCESS_KEY"

        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.hmac.secret_id
            version = google_secret_manager_secret_version.hmac.version
          }
        }
      }

      dynamic "env" {
        for_each = var.secrets

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 15

        http_get {
          path = "/healthz" # not /readyz, which would access the bucket at every start
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.this, google_secret_manager_secret_iam_member.this]
}

resource "google_cloud_run_v2_service_iam_member" "everybody" {
  count    = var.allow_unauthenticated ? 1 : 0
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_cloud_run_domain_mapping" "this" {
  count    = var.domain == null ? 0 : 1
  project  = var.project
  location = var.region
  name     = var.domain

  metadata {
    namespace = var.project
  }

  spec {
    route_name = google_cloud_run_v2_service.this.name
  }
}
