# A function and a bucket. Apart from the bucket's storage, the mirror costs nothing while nobody pulls.
#
#   make lambda          # builds the zip
#   terraform -chdir=terraform/examples/aws-lambda init
#   terraform -chdir=terraform/examples/aws-lambda apply -var name=mirror -var bucket=images-of-example
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Region of the function and the bucket."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "Name of the function."
  type        = string
  default     = "mirror"
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "zip" {
  description = "Path of the zip that `make lambda` builds for arm64."
  type        = string
  default     = "../../../bin/lambda-arm64.zip"
}

variable "domain" {
  description = "Custom domain, its certificate and its Route 53 zone. Null: the Function URL."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null
}

variable "docker_config_secret_arn" {
  description = "ARN of a secret that contains a Docker config.json with credentials for upstreams: aws secretsmanager create-secret --name mirror-upstreams --secret-string file://config.json. Null: no credentials."
  type        = string
  default     = null
}

module "bucket" {
  source = "../../modules/bucket-s3"

  name          = var.bucket
  force_destroy = true
}

module "mirror" {
  source = "../../modules/aws-lambda"

  name        = var.name
  zip         = var.zip
  endpoint    = var.domain == null ? "function-url" : "api-gateway"
  domain      = var.domain
  concurrency = 50
  policy_json = module.bucket.policy_json
  secrets     = var.docker_config_secret_arn == null ? {} : { ENTREPOT_DOCKER_CONFIG = var.docker_config_secret_arn }
  environment = merge(module.bucket.environment, { ENTREPOT_TAG_TTL = "5m" })
}

output "url" {
  description = "URL of the mirror."
  value       = module.mirror.url
}

output "client_config" {
  description = "Client configuration by file."
  value       = module.mirror.client_config
}
