mock_provider "aws" {
  override_data {
    target = data.aws_vpc.this
    values = { id = "vpc-1", cidr_block = "172.31.0.0/16" }
  }
  override_data {
    target = data.aws_subnets.this
    values = { ids = ["subnet-1", "subnet-2"] }
  }
  override_data {
    target = data.aws_route_tables.this
    values = { ids = ["rtb-1"] }
  }
}

run "apply" {
  command = apply
  variables {
    bucket = "images-of-example"
    image  = "registry.example.com/entrepot:1.0.0"
    domain = { name = "mirror.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0" }
  }

  assert {
    condition     = jsondecode(output.client_config.daemon_json)["registry-mirrors"] == ["https://mirror.example.com"]
    error_message = output.client_config.daemon_json
  }
}
