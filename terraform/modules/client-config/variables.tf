variable "url" {
  description = "URL of entrepot for clients, such as https://mirror.example.com."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://[^/]+/?$", var.url))
    error_message = "Must be a URL without a path, such as https://mirror.example.com."
  }
}
