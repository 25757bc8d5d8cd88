locals {
  url = var.domain == null ? "http://${aws_lb.this.dns_name}" : "https://${var.domain.name}"
}

module "client_config" {
  source = "../client-config"
  url    = local.url
}

output "url" {
  description = "URL of entrepot for clients."
  value       = local.url
}

output "client_config" {
  description = "Client configuration by file."
  value       = module.client_config.config
}

output "balancer_name" {
  description = "DNS name of the load balancer, for your own DNS record."
  value       = aws_lb.this.dns_name
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "Name of the service."
  value       = aws_ecs_service.this.name
}

output "task_role_arn" {
  description = "ARN of entrepot's role."
  value       = aws_iam_role.task.arn
}

output "task_security_group_id" {
  description = "ID of the tasks' security group, which allows outgoing connections only to port 443."
  value       = aws_security_group.task.id
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}
