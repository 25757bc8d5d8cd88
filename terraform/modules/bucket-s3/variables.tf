variable "name" {
  description = "Name of the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "Must be 3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends. No dots, since S3's TLS certificate does not cover them."
  }
}

variable "prefix" {
  description = "Path in the bucket for everything that entrepot stores. Empty: the whole bucket."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.prefix == "" || can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "Must be a path without leading or trailing slash, such as team/images."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts objects. With cloudfront, the key's policy must allow the output cdn_arn to decrypt. Null: S3-managed keys (AES256), which are free."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "Must be the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID, not an alias."
  }
}

variable "fills_days" {
  description = "Days until leftovers of abandoned fills expire."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.fills_days >= 1 && floor(var.fills_days) == var.fills_days
    error_message = "Must be a whole number of days, at least 1."
  }
}

variable "access_days" {
  description = "Days until markers of use expire. Must exceed the retention of unused content."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.access_days >= 2 && floor(var.access_days) == var.access_days
    error_message = "Must be a whole number of days, at least 2."
  }
}

variable "multipart_days" {
  description = "Days until incomplete multipart uploads are aborted."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.multipart_days >= 1 && floor(var.multipart_days) == var.multipart_days
    error_message = "Must be a whole number of days, at least 1."
  }
}

variable "force_destroy" {
  description = "Let `destroy` delete a bucket that is not empty. entrepot can fetch all content again."
  type        = bool
  default     = false
  nullable    = false
}

variable "replication" {
  description = "Replicate blobs, manifests and tags to another bucket, which must have versioning. This bucket then keeps noncurrent versions for a day. Null: no replication."
  type = object({
    bucket_arn    = string
    storage_class = optional(string, "STANDARD")
  })
  default = null

  validation {
    condition     = var.replication == null || can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", var.replication.bucket_arn))
    error_message = "replication.bucket_arn must be the ARN of a bucket, arn:aws:s3:::NAME."
  }

  validation {
    condition     = var.replication == null || var.kms_key_arn == null
    error_message = "The module does not replicate objects encrypted with KMS; remove kms_key_arn or replication."
  }

  validation {
    condition = var.replication == null || contains(
      ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], try(var.replication.storage_class, "")
    )
    error_message = "replication.storage_class must have instant access: STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }
}

variable "cloudfront" {
  description = "CloudFront distribution in front of the bucket. entrepot signs its URLs with the private key to public_key_pem (RSA 2048 or ECDSA P-256). aliases need a certificate in us-east-1. Null: no distribution."
  type = object({
    public_key_pem  = string
    price_class     = optional(string, "PriceClass_100")
    aliases         = optional(list(string), [])
    certificate_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.cloudfront == null || can(regex("^-----BEGIN PUBLIC KEY-----\n", var.cloudfront.public_key_pem))
    error_message = "cloudfront.public_key_pem must be a public key in PEM: openssl pkey -in private.pem -pubout."
  }

  validation {
    condition = var.cloudfront == null || contains(
      ["PriceClass_100", "PriceClass_200", "PriceClass_All"], try(var.cloudfront.price_class, "")
    )
    error_message = "cloudfront.price_class must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }

  validation {
    condition     = var.cloudfront == null || length(try(var.cloudfront.aliases, [])) == 0 || try(var.cloudfront.certificate_arn, null) != null
    error_message = "cloudfront.aliases need cloudfront.certificate_arn, a certificate in us-east-1."
  }
}

variable "tags" {
  description = "Tags of all resources that support tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
