# Two or more tasks behind a load balancer, in the account's default VPC, which has public subnets.
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
  description = "Region of all resources."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "Name of the service."
  type        = string
  default     = "mirror"
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "image" {
  description = "Container image of entrepot, by digest or version."
  type        = string
}

variable "domain" {
  description = "Custom domain, its certificate and its Route 53 zone. Null: the load balancer's name, without TLS."
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

data "aws_vpc" "this" {
  default = true
}

data "aws_subnets" "this" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }
}

data "aws_route_tables" "this" {
  vpc_id = data.aws_vpc.this.id
}

module "bucket" {
  source = "../../modules/bucket-s3"

  name = var.bucket
}

module "mirror" {
  source = "../../modules/aws-ecs"

  name                = var.name
  image               = var.image
  vpc_id              = data.aws_vpc.this.id
  task_subnet_ids     = data.aws_subnets.this.ids
  balancer_subnet_ids = data.aws_subnets.this.ids
  route_table_ids     = data.aws_route_tables.this.ids
  assign_public_ip    = true
  allowed_cidrs       = [data.aws_vpc.this.cidr_block]
  domain              = var.domain
  secrets             = var.docker_config_secret_arn == null ? {} : { ENTREPOT_DOCKER_CONFIG = var.docker_config_secret_arn }
  policy_json         = module.bucket.policy_json
  environment         = module.bucket.environment
}

output "url" {
  description = "URL of the mirror."
  value       = module.mirror.url
}

output "client_config" {
  description = "Client configuration by file."
  value       = module.mirror.client_config
}
