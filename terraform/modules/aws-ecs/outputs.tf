locals {
  url = var.domain == null ? "http://${aws_lb.this.dns_name}" : "https://${var.domain.name}"
}

module "client_config" {
  source = "../client-config"
  url    = local.url
}

output "url" {
  description = "URL that clients reach entrepot under."
  value       = local.url
}

output "client_config" {
  description = "What clients are told, by the file that it goes into."
  value       = module.client_config.config
}

output "balancer_name" {
  description = "Name of the load balancer in DNS, for a record of your own."
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
  description = "ARN of the role that entrepot has."
  value       = aws_iam_role.task.arn
}

output "task_security_group_id" {
  description = "ID of the tasks' security group, which lets them dial port 443 only."
  value       = aws_security_group.task.id
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}
