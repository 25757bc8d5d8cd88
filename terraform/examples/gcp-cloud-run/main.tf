# A bucket, and a service that scales to zero while nobody pulls.
terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

variable "project" {
  description = "ID of the project."
  type        = string
}

variable "region" {
  description = "Region of the service and the bucket."
  type        = string
  default     = "europe-west3"
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "image" {
  description = "Container image of entrepot, by digest or version, in Artifact Registry or on Docker Hub, since Cloud Run pulls from no other registry."
  type        = string
}

resource "google_project_service" "this" {
  for_each           = toset(["iam", "run", "secretmanager", "storage"])
  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

module "mirror" {
  source = "../../modules/gcp-cloud-run"

  project             = var.project
  region              = var.region
  name                = "mirror-service"
  bucket              = var.bucket
  image               = var.image
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = false

  depends_on = [google_project_service.this]
}

output "url" {
  description = "URL of the mirror."
  value       = module.mirror.url
}

output "client_config" {
  description = "Client configuration by file."
  value       = module.mirror.client_config
}
