locals {
  url = var.domain == null ? google_cloud_run_v2_service.this.uri : "https://${var.domain}"
}

module "client_config" {
  source = "../client-config"
  url    = local.url
}

output "url" {
  description = "URL of entrepot for clients."
  value       = local.url
}

output "client_config" {
  description = "Client configuration by file."
  value       = module.client_config.config
}

output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.this.name
}

output "service_name" {
  description = "Name of the service."
  value       = google_cloud_run_v2_service.this.name
}

output "service_account" {
  description = "E-mail address of entrepot's service account."
  value       = google_service_account.this.email
}

output "domain_records" {
  description = "DNS records that the domain needs. Empty without a domain."
  value       = try(google_cloud_run_domain_mapping.this[0].status[0].resource_records, [])
}
