data "aws_region" "current" {}

data "aws_vpc" "this" {
  id = var.vpc_id
}

locals {
  port = 5000

  environment = merge({
    ENTREPOT_LISTEN     = ":${local.port}"
    ENTREPOT_LOG_FORMAT = "json"
    # Fargate kills a task 120 s after SIGTERM.
    ENTREPOT_DRAIN_TIMEOUT = "110s"
    # The load balancer's addresses are in these ranges, and only the load balancer reaches the tasks.
    ENTREPOT_TRUSTED_PROXIES = join(",", data.aws_vpc.this.cidr_block_associations[*].cidr_block)
  }, var.environment)
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_days
  tags              = var.tags
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags
}

resource "aws_ecs_service" "this" {
  name             = var.name
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.this.arn
  desired_count    = var.tasks.min
  launch_type      = "FARGATE"
  platform_version = "LATEST"
  propagate_tags   = "SERVICE"
  tags             = var.tags

  # Start new tasks before stopping old ones, and roll back if the new ones do not become healthy.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.task_subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = var.assign_public_ip
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "entrepot"
    container_port   = local.port
  }

  # Autoscaling sets the count.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_lb_listener.http, aws_iam_role_policy.bucket]
}
