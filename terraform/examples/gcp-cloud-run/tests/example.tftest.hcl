mock_provider "google" {
  mock_resource "google_cloud_run_v2_service" {
    defaults = { uri = "https://mirror-abc-ey.a.run.app" }
  }
}

run "apply" {
  command = apply
  variables {
    project = "team-example"
    bucket  = "images-of-example"
    image   = "europe-west3-docker.pkg.dev/team-example/tools/entrepot:1.0.0"
  }

  assert {
    condition     = jsondecode(output.client_config.daemon_json)["registry-mirrors"] == ["https://mirror-abc-ey.a.run.app"]
    error_message = output.client_config.daemon_json
  }
}
