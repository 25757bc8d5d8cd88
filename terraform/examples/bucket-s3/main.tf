# A bucket with CloudFront in front of its blobs and a replica in another region.
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
  description = "Region of the bucket."
  type        = string
  default     = "eu-central-1"
}

variable "replica_region" {
  description = "Region of the replica."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Name of the bucket. The replica's name is the same with the suffix -replica."
  type        = string
}

variable "public_key_pem" {
  description = "Public key to the private key with which entrepot signs URLs: openssl ecparam -genkey -name prime256v1 -noout -out cdn.pem, then openssl pkey -in cdn.pem -pubout."
  type        = string
}

resource "aws_s3_bucket" "replica" {
  region = var.replica_region
  bucket = "${var.name}-replica"
}

resource "aws_s3_bucket_public_access_block" "replica" {
  region                  = var.replica_region
  bucket                  = aws_s3_bucket.replica.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "replica" {
  region = var.replica_region
  bucket = aws_s3_bucket.replica.id

  versioning_configuration {
    status = "Enabled"
  }
}

module "bucket" {
  source = "../../modules/bucket-s3"

  name        = var.name
  replication = { bucket_arn = aws_s3_bucket.replica.arn }
  cloudfront  = { public_key_pem = var.public_key_pem }

  depends_on = [aws_s3_bucket_versioning.replica]
}

output "environment" {
  description = "Environment variables of entrepot."
  value       = module.bucket.environment
}

output "policy_json" {
  description = "IAM policy that entrepot needs."
  value       = module.bucket.policy_json
}
