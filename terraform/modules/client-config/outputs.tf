output "config" {
  description = "Client configuration by file: daemon_json (Docker), hosts_toml (containerd, and Docker with its image store), registries_conf (Podman and CRI-O), buildkitd_toml, registries_yaml (k3s)."
  value = {
    daemon_json     = jsonencode(local.daemon_json)
    hosts_toml      = <<-EOT
      [host."${local.url}"]
        capabilities = ["pull", "resolve"]
    EOT
    registries_conf = <<-EOT
      [[registry]]
      location = "docker.io"
      [[registry.mirror]]
      location = "${local.host}"
      insecure = ${!local.secure}
    EOT
    buildkitd_toml  = <<-EOT
      [registry."docker.io"]
        mirrors = ["${local.host}"]
      [registry."${local.host}"]
        http = ${!local.secure}
    EOT
    registries_yaml = yamlencode({ mirrors = { "*" = { endpoint = [local.url] } } })
  }
}
