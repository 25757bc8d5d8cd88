variable "name" {
  description = "Name of the function, and of what belongs to it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,48}$", var.name))
    error_message = "1 to 48 letters, digits and hyphens."
  }
}

variable "zip" {
  description = "Path of the zip with the program as bootstrap, as `make lambda` builds it. Either this or image."
  type        = string
  default     = null

  validation {
    condition     = (var.zip == null) != (var.image == null)
    error_message = "Set either zip or image."
  }
}

variable "image" {
  description = "Container image with the program, in ECR of the same region, by digest. Either this or zip."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/.+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Lambda takes images from ECR only; name it by digest: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:..."
  }
}

variable "architecture" {
  description = "What the program was built for: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "It has to be arm64 or x86_64."
  }
}

variable "memory" {
  description = "Memory in MiB. Processor time goes with it: 1769 is one core."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 128 && var.memory <= 10240
    error_message = "128 to 10240 MiB."
  }
}

variable "timeout" {
  description = "Seconds that one invocation may take. A request is answered within 20."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout >= 25 && var.timeout <= 900
    error_message = "25 to 900 seconds: clients are kept waiting for up to 20."
  }
}

variable "concurrency" {
  description = "Invocations at a time, which bounds what it can cost. Null: the account's limit."
  type        = number
  default     = null

  validation {
    condition     = var.concurrency == null || try(var.concurrency >= 1, false)
    error_message = "1 or more, or null."
  }
}

variable "policy_json" {
  description = "What the function is permitted besides its log: policy_json of the module bucket-s3."
  type        = string
  nullable    = false

  validation {
    condition     = can(jsondecode(var.policy_json).Statement)
    error_message = "It has to be a policy in JSON."
  }
}

variable "environment" {
  description = "Variables of entrepot: environment of the module bucket-s3, and what else is to be set. Whoever may read the function's configuration, or the state, can read them: no secrets."
  type        = map(string)
  nullable    = false

  validation {
    condition     = can(regex("^s3://", var.environment["ENTREPOT_STORE"]))
    error_message = "ENTREPOT_STORE has to name a bucket, s3://BUCKET: a function keeps no files."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"])) == 0
    error_message = "They would be in the state and in the function's configuration. Put them into Secrets Manager, and their ARNs into secrets."
  }
}

variable "secrets" {
  description = "ENTREPOT_DOCKER_CONFIG (a Docker config.json with the credentials for upstreams) and ENTREPOT_CDN_KEY, by the ARNs of the secrets in Secrets Manager that have them. The function reads them when it starts; they are neither in the state nor in its configuration."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.secrets), ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"])) == 0
    error_message = "entrepot reads ENTREPOT_DOCKER_CONFIG and ENTREPOT_CDN_KEY from Secrets Manager, and no others."
  }

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[a-z-]+:secretsmanager:", arn))])
    error_message = "They have to be ARNs of secrets in Secrets Manager."
  }
}

variable "endpoint" {
  description = "What clients reach the function by: function-url (free) or api-gateway (for a domain of your own)."
  type        = string
  default     = "function-url"
  nullable    = false

  validation {
    condition     = contains(["function-url", "api-gateway"], var.endpoint)
    error_message = "It has to be function-url or api-gateway."
  }
}

variable "domain" {
  description = "Name of your own, with its certificate in the same region and the Route 53 zone that gets its record (null: none, the output domain_target says where to point it). Needs endpoint = \"api-gateway\". Null: the platform's name."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || var.endpoint == "api-gateway"
    error_message = "A Function URL cannot have a name of its own; set endpoint = \"api-gateway\"."
  }
}

variable "jobs" {
  description = "What is run besides requests, by name: when (cron(...) or rate(...), in UTC), and the event that the function gets. For commands such as gc, once entrepot takes them as events; it does not yet."
  type = map(object({
    schedule = string
    event    = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for j in var.jobs : can(regex("^(cron|rate|at)\\(.+\\)$", j.schedule)) && can(jsondecode(j.event))])
    error_message = "schedule has to be cron(...) or rate(...), and event JSON."
  }
}

variable "log_days" {
  description = "Days that the log is kept."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 and some longer."
  }
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
  nullable    = false
}
