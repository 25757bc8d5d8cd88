mock_provider "aws" {
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws" }
  }
  mock_data "aws_vpc" {
    defaults = { cidr_block_associations = [for c in ["10.0.0.0/16", "10.1.0.0/16"] : { association_id = "", cidr_block = c, state = "associated" }] }
  }
  mock_resource "aws_lb" {
    defaults = { dns_name = "mirror-1.eu-central-1.elb.amazonaws.com" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/ecs/mirror" }
  }
}

variables {
  name                = "mirror"
  image               = "registry.example.com/entrepot:1.0.0"
  vpc_id              = "vpc-1"
  task_subnet_ids     = ["subnet-1"]
  balancer_subnet_ids = ["subnet-2", "subnet-3"]
  allowed_cidrs       = ["10.0.0.0/8", "fd00::/8"]
  policy_json         = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  environment         = { ENTREPOT_STORE = "s3://images" }
}

run "defaults" {
  command = apply

  assert {
    condition     = output.url == "http://mirror-1.eu-central-1.elb.amazonaws.com"
    error_message = "the URL is ${output.url}"
  }
  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.this.container_definitions)) == 1
    error_message = "want one container: ${aws_ecs_task_definition.this.container_definitions}"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem
    error_message = "root file system is writable"
  }
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment, { name = "ENTREPOT_TRUSTED_PROXIES", value = "10.0.0.0/16,10.1.0.0/16" })
    error_message = "the load balancer is not a trusted proxy: ${aws_ecs_task_definition.this.container_definitions}"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.execution.policy, "secretsmanager") && !strcontains(aws_iam_role_policy.execution.policy, "BatchGetImage")
    error_message = "the execution role may read secrets or repositories: ${aws_iam_role_policy.execution.policy}"
  }
  assert {
    condition     = length(aws_vpc_endpoint.s3) == 0 && length(aws_lb_listener.https) == 0 && length(aws_vpc_security_group_ingress_rule.client) == 2
    error_message = "unexpected optional resources"
  }
}

run "everything" {
  command = apply
  variables {
    image           = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/entrepot@sha256:0123456789012345678901234567890123456789012345678901234567890123"
    domain          = { name = "mirror.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0", zone_id = "Z0" }
    route_table_ids = ["rtb-1"]
    secrets = {
      ENTREPOT_CDN_KEY       = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:cdn-AAAAAA"
      ENTREPOT_DOCKER_CONFIG = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:docker-AAAAAA"
    }
  }

  assert {
    condition     = output.url == "https://mirror.example.com"
    error_message = "the URL is ${output.url}"
  }
  assert {
    condition     = [for s in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : s.name] == ["ENTREPOT_CDN_KEY", "ENTREPOT_DOCKER_CONFIG"]
    error_message = aws_ecs_task_definition.this.container_definitions
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.execution.policy).Statement[2].Resource == "arn:aws:ecr:eu-central-1:123456789012:repository/team/entrepot"
    error_message = aws_iam_role_policy.execution.policy
  }
  assert {
    condition     = length(jsondecode(aws_iam_role_policy.execution.policy).Statement[3].Resource) == 2
    error_message = aws_iam_role_policy.execution.policy
  }
}

run "invalid_values" {
  command = plan
  variables {
    name                = "Mirror"
    image               = "entrepot:latest"
    architecture        = "arm64"
    cpu                 = 500
    tasks               = { min = 3, max = 2 }
    vpc_id              = "mine"
    task_subnet_ids     = []
    balancer_subnet_ids = ["subnet-2"]
    allowed_cidrs       = ["10.0.0.0"]
    domain              = { name = "mirror.example.com", certificate_arn = "mine" }
    policy_json         = "{}"
    environment         = { ENTREPOT_STORE = "file:./data" }
    secrets             = { ENTREPOT_CDN_KEY = "-----BEGIN PRIVATE KEY-----" }
    log_days            = 2
  }
  expect_failures = [
    var.name, var.image, var.architecture, var.cpu, var.tasks, var.vpc_id, var.task_subnet_ids, var.balancer_subnet_ids,
    var.allowed_cidrs, var.domain, var.policy_json, var.environment, var.secrets, var.log_days,
  ]
}

run "memory_too_large_for_cpu" {
  command = plan
  variables { memory = 8192 }
  expect_failures = [var.memory]
}

# count and for_each must not depend on values that are unknown before apply.
run "new_network" {
  command = plan

  module {
    source = "./tests/new-network"
  }
}
