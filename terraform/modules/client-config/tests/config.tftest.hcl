run "over_tls" {
  command = apply
  variables { url = "https://mirror.example.com/" }

  assert {
    condition     = output.config.daemon_json == "{\"registry-mirrors\":[\"https://mirror.example.com\"]}"
    error_message = "daemon.json is ${output.config.daemon_json}"
  }
  assert {
    condition     = strcontains(output.config.hosts_toml, "[host.\"https://mirror.example.com\"]")
    error_message = "hosts.toml is ${output.config.hosts_toml}"
  }
}

run "without_tls" {
  command = apply
  variables { url = "http://10.0.0.7:5000" }

  assert {
    condition     = jsondecode(output.config.daemon_json)["insecure-registries"] == ["http://10.0.0.7:5000"]
    error_message = "daemon.json is ${output.config.daemon_json}"
  }
  assert {
    condition     = strcontains(output.config.registries_conf, "insecure = true")
    error_message = "registries.conf is ${output.config.registries_conf}"
  }
}

run "no_url" {
  command = plan
  variables { url = "mirror.example.com" }
  expect_failures = [var.url]
}
