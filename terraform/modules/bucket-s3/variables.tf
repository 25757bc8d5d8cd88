variable "name" {
  description = "Name of the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends. No dots: TLS would not know the host."
  }
}

variable "prefix" {
  description = "Path in the bucket that everything is kept under. Empty: all of the bucket."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.prefix == "" || can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "A path without a slash at its ends, such as team/images."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that objects are encrypted with; with cloudfront its policy has to let the output cdn_arn decrypt. Null: with keys of S3 (AES256), which cost nothing."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "It has to be the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID, not of an alias."
  }
}

variable "fills_days" {
  description = "Days after which what is left of a blob that never became whole is removed."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.fills_days >= 1 && floor(var.fills_days) == var.fills_days
    error_message = "A whole number of days, 1 or more."
  }
}

variable "access_days" {
  description = "Days after which the markers of what was used on a day are removed. Has to be longer than what is not used is kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.access_days >= 2 && floor(var.access_days) == var.access_days
    error_message = "A whole number of days, 2 or more."
  }
}

variable "multipart_days" {
  description = "Days after which uploads that were never completed are aborted."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.multipart_days >= 1 && floor(var.multipart_days) == var.multipart_days
    error_message = "A whole number of days, 1 or more."
  }
}

variable "force_destroy" {
  description = "Let `destroy` delete a bucket that is not empty. All of it can be fetched again."
  type        = bool
  default     = false
  nullable    = false
}

variable "replication" {
  description = "Another bucket, with versioning, that blobs, manifests and tags are copied to. Null: none. Makes this bucket keep versions for a day."
  type = object({
    bucket_arn    = string
    storage_class = optional(string, "STANDARD")
  })
  default = null

  validation {
    condition     = var.replication == null || can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", var.replication.bucket_arn))
    error_message = "replication.bucket_arn has to be the ARN of a bucket, arn:aws:s3:::NAME."
  }

  validation {
    condition     = var.replication == null || var.kms_key_arn == null
    error_message = "Objects encrypted with a key of KMS would not be copied; leave out kms_key_arn or replication."
  }

  validation {
    condition = var.replication == null || contains(
      ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], try(var.replication.storage_class, "")
    )
    error_message = "replication.storage_class has to be one that is read at once: STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }
}

variable "cloudfront" {
  description = "A CloudFront distribution before the bucket, for URLs that entrepot signs with the private key to public_key_pem (RSA 2048 or ECDSA P-256). Null: none. aliases need a certificate of us-east-1."
  type = object({
    public_key_pem  = string
    price_class     = optional(string, "PriceClass_100")
    aliases         = optional(list(string), [])
    certificate_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.cloudfront == null || can(regex("^-----BEGIN PUBLIC KEY-----\n", var.cloudfront.public_key_pem))
    error_message = "cloudfront.public_key_pem has to be a public key in PEM: openssl pkey -in private.pem -pubout."
  }

  validation {
    condition = var.cloudfront == null || contains(
      ["PriceClass_100", "PriceClass_200", "PriceClass_All"], try(var.cloudfront.price_class, "")
    )
    error_message = "cloudfront.price_class has to be PriceClass_100, PriceClass_200 or PriceClass_All."
  }

  validation {
    condition     = var.cloudfront == null || length(try(var.cloudfront.aliases, [])) == 0 || try(var.cloudfront.certificate_arn, null) != null
    error_message = "cloudfront.aliases need cloudfront.certificate_arn, of a certificate in us-east-1."
  }
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
  nullable    = false
}
