variable "project" {
  description = "ID of the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "Must be a project ID, not a name or number."
  }
}

variable "region" {
  description = "Region of the service and the bucket, such as europe-west3."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Must be a region, such as europe-west3."
  }
}

variable "name" {
  description = "Name of the service and prefix of related resources."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,27}[a-z0-9]$", var.name))
    error_message = "Must be 6 to 29 lower-case letters, digits and hyphens, as for a service account."
  }
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "Must be 3 to 63 lower-case letters, digits, hyphens and underscores. No dots."
  }
}

variable "image" {
  description = "Container image of entrepot, by digest or version."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Must have a registry, a repository, and a digest or a tag other than latest."
  }
}

variable "instances" {
  description = "Minimum and maximum number of instances. With min = 0, the first request after a pause waits for a cold start."
  type = object({
    min = optional(number, 0)
    max = optional(number, 10)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.instances.min >= 0 && var.instances.max >= 1 && var.instances.max >= var.instances.min
    error_message = "min must be at least 0, and max at least 1 and at least min."
  }
}

variable "cpu" {
  description = "CPUs of each instance: 1, 2, 4 or 8."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = contains([1, 2, 4, 8], var.cpu)
    error_message = "Must be 1, 2, 4 or 8."
  }
}

variable "memory" {
  description = "Memory of each instance in MiB. Must be more than ENTREPOT_FILL_MEMORY plus twice ENTREPOT_MANIFEST_CACHE."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 512 && var.memory <= 32768
    error_message = "Must be 512 to 32768 MiB."
  }
}

variable "concurrency" {
  description = "Maximum concurrent requests per instance."
  type        = number
  default     = 250
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000
    error_message = "Must be 1 to 1000."
  }
}

variable "ingress" {
  description = "Allowed sources of requests: INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  nullable    = false

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.ingress)
    error_message = "Must be INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "allow_unauthenticated" {
  description = "Let all clients that ingress allows pull without a token. Container runtimes cannot send Google's identity tokens, so false needs a proxy that adds them."
  type        = bool
  default     = true
  nullable    = false
}

variable "domain" {
  description = "Custom domain, verified for the account, in a region that supports domain mappings. Null: the run.app host name."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.domain))
    error_message = "Must be a DNS name, such as mirror.example.com."
  }
}

variable "environment" {
  description = "Environment variables of entrepot, in addition to those of the bucket. No secrets: the state contains these values."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.environment), ["AWS_SECRET_ACCESS_KEY", "ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG", "PORT"])) == 0
    error_message = "Cloud Run sets PORT. Put keys into Secret Manager, and the IDs of their secrets into secrets."
  }
}

variable "secrets" {
  description = "IDs of secrets in Secret Manager by environment variable: ENTREPOT_DOCKER_CONFIG (a Docker config.json with credentials for upstreams), ENTREPOT_CDN_KEY. The state does not contain their values."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for id in values(var.secrets) : can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "Values must be IDs of the project's secrets, without a path."
  }
}

variable "fills_days" {
  description = "Days until leftovers of abandoned fills expire and incomplete multipart uploads are aborted."
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

variable "deletion_protection" {
  description = "Keep `destroy` from deleting the service, and a bucket that is not empty."
  type        = bool
  default     = true
  nullable    = false
}

variable "labels" {
  description = "Labels of all resources that support labels."
  type        = map(string)
  default     = {}
  nullable    = false
}
