terraform {
  required_version = ">= 1.11"
}

locals {
  host   = trimsuffix(replace(var.url, "/^https?:\\/\\//", ""), "/")
  secure = startswith(var.url, "https://")
  url    = trimsuffix(var.url, "/")

  # With the scheme, for `docker build`: docs/clients.md.
  daemon_json = merge(
    { "registry-mirrors" = [local.url] },
    local.secure ? {} : { "insecure-registries" = [local.url] },
  )
}
