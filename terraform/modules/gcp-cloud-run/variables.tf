variable "project" {
  description = "ID of the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "It has to be the ID of a project, not its name or number."
  }
}

variable "region" {
  description = "Region of the service and the bucket, such as europe-west3."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "It has to be a region, such as europe-west3."
  }
}

variable "name" {
  description = "Name of the service, and of what belongs to it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,27}[a-z0-9]$", var.name))
    error_message = "6 to 29 lower-case letters, digits and hyphens: it names a service account too."
  }
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "3 to 63 lower-case letters, digits, hyphens and underscores. No dots."
  }
}

variable "image" {
  description = "Container image of entrepot, by digest or version."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name registry, repository, and a version or digest other than latest."
  }
}

variable "instances" {
  description = "How many instances there are at least and at most. With min = 0 the first request after a pause waits for a start."
  type = object({
    min = optional(number, 0)
    max = optional(number, 10)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.instances.min >= 0 && var.instances.max >= 1 && var.instances.max >= var.instances.min
    error_message = "min has to be 0 or more, and max at least 1 and min."
  }
}

variable "cpu" {
  description = "Processors of each instance: 1, 2, 4 or 8."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = contains([1, 2, 4, 8], var.cpu)
    error_message = "It has to be 1, 2, 4 or 8."
  }
}

variable "memory" {
  description = "Memory of each instance in MiB. ENTREPOT_FILL_MEMORY and ENTREPOT_MANIFEST_CACHE have to fit."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 512 && var.memory <= 32768
    error_message = "512 to 32768 MiB."
  }
}

variable "concurrency" {
  description = "Requests that one instance serves at a time."
  type        = number
  default     = 250
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000
    error_message = "1 to 1000."
  }
}

variable "ingress" {
  description = "Where requests may come from: INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  nullable    = false

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.ingress)
    error_message = "It has to be INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "allow_unauthenticated" {
  description = "Let everybody pull who gets there by ingress. Container runtimes cannot show Google's identity tokens; without this only a proxy that does can use it."
  type        = bool
  default     = true
  nullable    = false
}

variable "domain" {
  description = "Name of your own, verified for the account, in a region that has domain mappings. Null: the name on run.app."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.domain))
    error_message = "It has to be a name in DNS, such as mirror.example.com."
  }
}

variable "environment" {
  description = "Variables of entrepot besides those of the bucket. No secrets: they would be in the state."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.environment), ["AWS_SECRET_ACCESS_KEY", "ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG", "PORT"])) == 0
    error_message = "PORT is Cloud Run's to set. Keys belong into Secret Manager, and the IDs of their secrets into secrets."
  }
}

variable "secrets" {
  description = "Variables whose values are in Secret Manager, by the IDs of the secrets: ENTREPOT_DOCKER_CONFIG (a Docker config.json with the credentials for upstreams), ENTREPOT_CDN_KEY. Their values are not in the state."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for id in values(var.secrets) : can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "They have to be IDs of secrets of the project, without a path."
  }
}

variable "fills_days" {
  description = "Days after which what is left of a blob that never became whole is removed, and uploads that were never completed are aborted."
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

variable "deletion_protection" {
  description = "Keep `destroy` from deleting the service, and a bucket that is not empty."
  type        = bool
  default     = true
  nullable    = false
}

variable "labels" {
  description = "Labels of everything that can have some."
  type        = map(string)
  default     = {}
  nullable    = false
}
