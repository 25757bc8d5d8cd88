variable "name" {
  description = "Name of the service, and of what belongs to it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name)) && !startswith(var.name, "internal-")
    error_message = "1 to 24 lower-case letters, digits and hyphens, a letter first."
  }
}

variable "image" {
  description = "Container image of entrepot, by digest or version. Not by way of the mirror itself: it could not start without itself."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+(:[0-9]+)?/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name registry, repository, and a version or digest other than latest."
  }
}

variable "architecture" {
  description = "What the image is run on: ARM64 (cheaper) or X86_64."
  type        = string
  default     = "ARM64"
  nullable    = false

  validation {
    condition     = contains(["ARM64", "X86_64"], var.architecture)
    error_message = "It has to be ARM64 or X86_64."
  }
}

variable "cpu" {
  description = "Units of processor for each task; 1024 are a core."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "Fargate takes 256, 512, 1024, 2048, 4096, 8192 and 16384."
  }
}

variable "memory" {
  description = "Memory of each task in MiB. Fargate takes what suits cpu; ENTREPOT_FILL_MEMORY and ENTREPOT_MANIFEST_CACHE have to fit."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 2 * var.cpu && var.memory <= 8 * var.cpu || var.cpu == 256 && contains([512, 1024, 2048], var.memory)
    error_message = "Fargate takes 2 to 8 MiB for each unit of cpu."
  }
}

variable "tasks" {
  description = "How many tasks there are at least and at most, and how busy their processors are, in percent, when there are to be more."
  type = object({
    min = optional(number, 2)
    max = optional(number, 6)
    cpu = optional(number, 60)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.tasks.min >= 0 && var.tasks.max >= var.tasks.min && var.tasks.cpu >= 10 && var.tasks.cpu <= 90
    error_message = "min has to be 0 or more, max at least min, and cpu 10 to 90."
  }
}

variable "vpc_id" {
  description = "VPC that it runs in."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "It has to be the ID of a VPC, vpc-..."
  }
}

variable "task_subnet_ids" {
  description = "Subnets of the tasks, with a way to the Internet by NAT, or with assign_public_ip by an Internet gateway."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.task_subnet_ids) > 0
    error_message = "Name at least one subnet."
  }
}

variable "balancer_subnet_ids" {
  description = "Subnets of the load balancer, in two availability zones or more."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.balancer_subnet_ids) >= 2
    error_message = "A load balancer needs subnets in two availability zones."
  }
}

variable "assign_public_ip" {
  description = "Give tasks a public address, where their subnets have no NAT."
  type        = bool
  default     = false
  nullable    = false
}

variable "internal" {
  description = "Keep the load balancer from having public addresses."
  type        = bool
  default     = true
  nullable    = false
}

variable "allowed_cidrs" {
  description = "Networks of those who may pull. Whoever can reach entrepot can pull all that it can."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for c in var.allowed_cidrs : can(cidrhost(c, 0))])
    error_message = "Name at least one network, such as 10.0.0.0/8."
  }
}

variable "domain" {
  description = "Name that clients reach it under, with its certificate in the same region and the Route 53 zone that gets its record (null: none). Null: the load balancer's name, without TLS."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^arn:[a-z-]+:acm:", var.domain.certificate_arn))
    error_message = "domain.certificate_arn has to be the ARN of a certificate."
  }
}

variable "route_table_ids" {
  description = "Route tables of the tasks' subnets, which get a gateway endpoint for S3: without one NAT is paid for each byte. Empty: there is an endpoint already."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "policy_json" {
  description = "What tasks are permitted: policy_json of the module bucket-s3."
  type        = string
  nullable    = false

  validation {
    condition     = can(jsondecode(var.policy_json).Statement)
    error_message = "It has to be a policy in JSON."
  }
}

variable "environment" {
  description = "Variables of entrepot: environment of the module bucket-s3, and what else is to be set. No secrets: see secrets."
  type        = map(string)
  nullable    = false

  validation {
    condition     = can(regex("^s3://", var.environment["ENTREPOT_STORE"]))
    error_message = "ENTREPOT_STORE has to name a bucket, s3://BUCKET: a task keeps no files."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"])) == 0
    error_message = "They would be in the state. Put them into Secrets Manager, and their ARNs into secrets."
  }
}

variable "secrets" {
  description = "Variables whose values are in Secrets Manager, by the ARNs of the secrets: ENTREPOT_DOCKER_CONFIG (a Docker config.json with the credentials for upstreams), ENTREPOT_CDN_KEY. Their values are not in the state."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[a-z-]+:secretsmanager:", arn))])
    error_message = "They have to be ARNs of secrets in Secrets Manager."
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
