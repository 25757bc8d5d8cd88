variable "bucket" {
  description = "Name of the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "Must be 3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends."
  }
}

variable "endpoint" {
  description = "URL of MinIO for entrepot."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://[^/]+$", var.endpoint))
    error_message = "Must be a URL without a path, such as https://minio.example.com:9000."
  }
}

variable "public_endpoint" {
  description = "URL of MinIO for clients, if it differs from endpoint. Must be neither a literal private address nor the mirror's own host name."
  type        = string
  default     = null

  validation {
    condition     = var.public_endpoint == null || can(regex("^https?://[^/]+$", var.public_endpoint))
    error_message = "Must be a URL without a path, such as https://s3.example.com."
  }
}

variable "user" {
  description = "Name of the user, and its access key."
  type        = string
  default     = "entrepot"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{3,64}$", var.user))
    error_message = "Must be 3 to 64 letters, digits, dots, underscores and hyphens."
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

variable "quota" {
  description = "Maximum size of the bucket in bytes. entrepot does not evict content on its own: if the bucket is full, every pull of new content fails. Null: no limit."
  type        = number
  default     = null

  validation {
    condition     = var.quota == null || try(var.quota > 0, false)
    error_message = "Must be a number of bytes above 0, or null."
  }
}

variable "fills_days" {
  description = "Days until leftovers of abandoned fills expire. MinIO itself aborts incomplete multipart uploads after a day."
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

variable "force_destroy" {
  description = "Let `destroy` delete a bucket that is not empty. entrepot can fetch all content again."
  type        = bool
  default     = false
  nullable    = false
}
