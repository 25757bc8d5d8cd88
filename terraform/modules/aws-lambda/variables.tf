variable "name" {
  description = "Name of the function and prefix of related resources."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,48}$", var.name))
    error_message = "Must be 1 to 48 letters, digits and hyphens."
  }
}

variable "zip" {
  description = "Path of the zip that `make lambda` builds. Set either zip or image."
  type        = string
  default     = null

  validation {
    condition     = (var.zip == null) != (var.image == null)
    error_message = "Set either zip or image."
  }
}

variable "image" {
  description = "Container image of entrepot in ECR, in the same region, by digest. Set either zip or image."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/.+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Must be an image in ECR, by digest: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:..."
  }
}

variable "architecture" {
  description = "Architecture of the zip or image: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "Must be arm64 or x86_64."
  }
}

variable "memory" {
  description = "Memory in MiB. CPU power is proportional to it: 1769 MiB get one core."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 128 && var.memory <= 10240
    error_message = "Must be 128 to 10240 MiB."
  }
}

variable "timeout" {
  description = "Maximum seconds of an invocation. entrepot responds to a request within 20."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout >= 25 && var.timeout <= 900
    error_message = "Must be 25 to 900 seconds, since a response may take up to 20."
  }
}

variable "concurrency" {
  description = "Maximum concurrent invocations, which limits the cost. Null: the account's limit."
  type        = number
  default     = null

  validation {
    condition     = var.concurrency == null || try(var.concurrency >= 1, false)
    error_message = "Must be at least 1, or null."
  }
}

variable "policy_json" {
  description = "IAM policy of the function, in addition to its log: policy_json of the module bucket-s3."
  type        = string
  nullable    = false

  validation {
    condition     = can(jsondecode(var.policy_json).Statement)
    error_message = "Must be a policy in JSON."
  }
}

variable "environment" {
  description = "Environment variables of entrepot: environment of the module bucket-s3, and other settings. No secrets: the state and the function's configuration contain these values."
  type        = map(string)
  nullable    = false

  validation {
    condition     = can(regex("^s3://", var.environment["ENTREPOT_STORE"]))
    error_message = "ENTREPOT_STORE must be a bucket, s3://BUCKET: functions do not keep files."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"])) == 0
    error_message = "ENTREPOT_CDN_KEY and ENTREPOT_DOCKER_CONFIG would be in the state and in the function's configuration. Put them into Secrets Manager, and their ARNs into secrets."
  }
}

variable "secrets" {
  description = "ARNs of secrets in Secrets Manager by environment variable: ENTREPOT_DOCKER_CONFIG (a Docker config.json with credentials for upstreams), ENTREPOT_CDN_KEY. entrepot reads them at its start. Neither the state nor the function's configuration contains their values."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.secrets), ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"])) == 0
    error_message = "entrepot reads only ENTREPOT_DOCKER_CONFIG and ENTREPOT_CDN_KEY from Secrets Manager."
  }

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[a-z-]+:secretsmanager:", arn))])
    error_message = "Values must be ARNs of secrets in Secrets Manager."
  }
}

variable "endpoint" {
  description = "HTTP endpoint of the function: function-url (free) or api-gateway (supports a custom domain)."
  type        = string
  default     = "function-url"
  nullable    = false

  validation {
    condition     = contains(["function-url", "api-gateway"], var.endpoint)
    error_message = "Must be function-url or api-gateway."
  }
}

variable "domain" {
  description = "Custom domain: its name, a certificate in the same region, and the Route 53 zone for its record (null: no record; point your own to the output domain_target). Needs endpoint = \"api-gateway\". Null: the AWS host name."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || var.endpoint == "api-gateway"
    error_message = "A Function URL does not support a custom domain; set endpoint = \"api-gateway\"."
  }
}

variable "jobs" {
  description = "Scheduled invocations by name: the schedule, cron(...) or rate(...) in UTC, and the event for the function. The event {\"command\":\"gc\"} runs the garbage collector."
  type = map(object({
    schedule = string
    event    = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for j in var.jobs : can(regex("^(cron|rate|at)\\(.+\\)$", j.schedule)) && can(jsondecode(j.event))])
    error_message = "schedule must be cron(...), rate(...) or at(...), and event must be JSON."
  }
}

variable "log_days" {
  description = "Days to keep the log."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "Must be a retention period of CloudWatch: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, or one of the longer ones."
  }
}

variable "tags" {
  description = "Tags of all resources that support tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
