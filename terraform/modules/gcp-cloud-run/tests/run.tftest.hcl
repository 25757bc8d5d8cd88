mock_provider "google" {
  mock_resource "google_cloud_run_v2_service" {
    defaults = { uri = "https://mirror-abc-ey.a.run.app" }
  }
  mock_resource "google_storage_hmac_key" {
    defaults = { access_id = "GOOG1", secret = "s3cret" }
  }
}

variables {
  project = "team-example"
  region  = "europe-west3"
  name    = "mirror"
  bucket  = "images-of-example"
  image   = "europe-west3-docker.pkg.dev/team-example/tools/entrepot:1.0.0"
}

run "defaults" {
  command = apply

  assert {
    condition     = output.url == "https://mirror-abc-ey.a.run.app"
    error_message = "the URL is ${output.url}"
  }
  assert {
    condition     = { for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.name => e.value }["ENTREPOT_STORE"] == "minio://storage.googleapis.com/images-of-example"
    error_message = "ENTREPOT_STORE does not name the bucket"
  }
  assert {
    condition     = alltrue([for e in google_cloud_run_v2_service.this.template[0].containers[0].env : e.value != "s3cret"])
    error_message = "the service's configuration contains the key"
  }
  assert {
    condition     = google_secret_manager_secret_version.hmac.secret_data_wo == null && google_secret_manager_secret_version.hmac.secret_data == null
    error_message = "the state contains the secret version's data"
  }
  assert {
    condition     = length(google_secret_manager_secret_iam_member.this) == 1 && length(google_cloud_run_domain_mapping.this) == 0
    error_message = "unexpected optional resources"
  }
}

run "everything" {
  command = apply
  variables {
    ingress               = "INGRESS_TRAFFIC_ALL"
    allow_unauthenticated = false
    domain                = "mirror.example.com"
    secrets               = { ENTREPOT_DOCKER_CONFIG = "upstreams" }
    deletion_protection   = false
    environment           = { ENTREPOT_TAG_TTL = "5m" }
  }

  assert {
    condition     = output.url == "https://mirror.example.com"
    error_message = "the URL is ${output.url}"
  }
  assert {
    condition     = google_secret_manager_secret_iam_member.this["ENTREPOT_DOCKER_CONFIG"].secret_id == "upstreams"
    error_message = "the service may not read the credentials for upstreams"
  }
  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.everybody) == 0
    error_message = "allUsers may invoke the service"
  }
}

run "invalid_values" {
  command = plan
  variables {
    project     = "1234"
    region      = "europe-west3-a"
    name        = "run"
    bucket      = "images.example.com"
    image       = "entrepot:latest"
    instances   = { min = 2, max = 1 }
    cpu         = 3
    memory      = 128
    concurrency = 0
    ingress     = "all"
    domain      = "https://mirror.example.com"
    environment = { ENTREPOT_CDN_KEY = "secret" }
    secrets     = { ENTREPOT_DOCKER_CONFIG = "projects/1/secrets/upstreams" }
    fills_days  = 0
    access_days = 0
  }
  expect_failures = [
    var.project, var.region, var.name, var.bucket, var.image, var.instances, var.cpu, var.memory, var.concurrency, var.ingress,
    var.domain, var.environment, var.secrets, var.fills_days, var.access_days,
  ]
}
