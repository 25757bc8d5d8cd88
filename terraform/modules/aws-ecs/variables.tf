variable "name" {
  description = "Name of the service and prefix of related resources."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name)) && !startswith(var.name, "internal-")
    error_message = "Must be 1 to 24 lower-case letters, digits and hyphens, start with a letter, and not start with internal-."
  }
}

variable "image" {
  description = "Container image of entrepot, by digest or version. Do not pull it through the mirror itself, or the mirror cannot start."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+(:[0-9]+)?/.+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Must have a registry, a repository, and a digest or a tag other than latest."
  }
}

variable "architecture" {
  description = "CPU architecture of the tasks: ARM64 (cheaper) or X86_64."
  type        = string
  default     = "ARM64"
  nullable    = false

  validation {
    condition     = contains(["ARM64", "X86_64"], var.architecture)
    error_message = "Must be ARM64 or X86_64."
  }
}

variable "cpu" {
  description = "CPU units of each task. 1024 units are one core."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "Must be 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "memory" {
  description = "Memory of each task in MiB, in the range that Fargate allows for cpu. Must be more than ENTREPOT_FILL_MEMORY plus twice ENTREPOT_MANIFEST_CACHE."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 2 * var.cpu && var.memory <= 8 * var.cpu || var.cpu == 256 && contains([512, 1024, 2048], var.memory)
    error_message = "Must be 2 to 8 MiB per CPU unit."
  }
}

variable "tasks" {
  description = "Minimum and maximum number of tasks, and the CPU utilization in percent that autoscaling aims for."
  type = object({
    min = optional(number, 2)
    max = optional(number, 6)
    cpu = optional(number, 60)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.tasks.min >= 0 && var.tasks.max >= var.tasks.min && var.tasks.cpu >= 10 && var.tasks.cpu <= 90
    error_message = "min must be at least 0, max at least min, and cpu 10 to 90."
  }
}

variable "vpc_id" {
  description = "ID of the VPC."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "Must be the ID of a VPC, vpc-..."
  }
}

variable "task_subnet_ids" {
  description = "Subnets of the tasks. They need a route to the Internet: through NAT, or through an Internet gateway with assign_public_ip."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.task_subnet_ids) > 0
    error_message = "Needs at least one subnet."
  }
}

variable "balancer_subnet_ids" {
  description = "Subnets of the load balancer, in at least two availability zones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.balancer_subnet_ids) >= 2
    error_message = "Needs subnets in at least two availability zones."
  }
}

variable "assign_public_ip" {
  description = "Give tasks public addresses. Needed if their subnets have no NAT."
  type        = bool
  default     = false
  nullable    = false
}

variable "internal" {
  description = "Give the load balancer private addresses only."
  type        = bool
  default     = true
  nullable    = false
}

variable "allowed_cidrs" {
  description = "Networks of clients that may pull. They can pull everything that entrepot's credentials can pull."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for c in var.allowed_cidrs : can(cidrhost(c, 0))])
    error_message = "Needs at least one network, such as 10.0.0.0/8."
  }
}

variable "domain" {
  description = "Custom domain: its name, a certificate in the same region, and the Route 53 zone for its record (null: no record). Null: the load balancer's name, without TLS."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^arn:[a-z-]+:acm:", var.domain.certificate_arn))
    error_message = "domain.certificate_arn must be the ARN of a certificate."
  }
}

variable "route_table_ids" {
  description = "Route tables of the tasks' subnets, to add a gateway endpoint for S3. Without an endpoint, NAT charges for each byte. Empty: do not create an endpoint, for a VPC that has one."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "policy_json" {
  description = "IAM policy of the tasks: policy_json of the module bucket-s3."
  type        = string
  nullable    = false

  validation {
    condition     = can(jsondecode(var.policy_json).Statement)
    error_message = "Must be a policy in JSON."
  }
}

variable "environment" {
  description = "Environment variables of entrepot: environment of the module bucket-s3, and other settings. No secrets: see secrets."
  type        = map(string)
  nullable    = false

  validation {
    condition     = can(regex("^s3://", var.environment["ENTREPOT_STORE"]))
    error_message = "ENTREPOT_STORE must be a bucket, s3://BUCKET: tasks do not keep files."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"])) == 0
    error_message = "ENTREPOT_CDN_KEY and ENTREPOT_DOCKER_CONFIG would be in the state. Put them into Secrets Manager, and their ARNs into secrets."
  }
}

variable "secrets" {
  description = "ARNs of secrets in Secrets Manager by environment variable: ENTREPOT_DOCKER_CONFIG (a Docker config.json with credentials for upstreams), ENTREPOT_CDN_KEY. The state does not contain their values."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[a-z-]+:secretsmanager:", arn))])
    error_message = "Values must be ARNs of secrets in Secrets Manager."
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
