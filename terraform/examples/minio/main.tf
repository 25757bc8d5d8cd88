# A bucket on your own MinIO server, and a user with only the permissions that entrepot needs. The provider reads the
# administrator's credentials from MINIO_USER and MINIO_PASSWORD.
terraform {
  required_version = ">= 1.11"

  required_providers {
    minio = {
      source  = "aminueza/minio"
      version = ">= 3.0, < 4.0"
    }
  }
}

provider "minio" {
  minio_server = var.server
  minio_ssl    = var.tls
}

variable "server" {
  description = "Host and port of MinIO."
  type        = string
  default     = "minio.example.com:9000"
}

variable "tls" {
  description = "Whether MinIO uses TLS."
  type        = bool
  default     = true
}

module "bucket" {
  source = "../../modules/minio"

  bucket   = "images"
  endpoint = "${var.tls ? "https" : "http"}://${var.server}"
}

output "environment" {
  description = "Environment variables of entrepot, except AWS_SECRET_ACCESS_KEY: terraform output -raw secret_key."
  value       = module.bucket.environment
}

output "secret_key" {
  description = "Value of AWS_SECRET_ACCESS_KEY."
  value       = module.bucket.secret_key
  sensitive   = true
}
