output "bucket" {
  description = "Name of the bucket."
  value       = minio_s3_bucket.this.bucket
}

output "policy_json" {
  description = "Policy of the user, with only the permissions that entrepot needs."
  value       = jsonencode(local.permissions)
}

output "environment" {
  description = "Environment variables of entrepot, except the secret key."
  value = merge(
    {
      ENTREPOT_STORE    = "${startswith(var.endpoint, "https://") ? "minio" : "minio+http"}://${replace(var.endpoint, "/^https?:\\/\\//", "")}/${minio_s3_bucket.this.bucket}${var.prefix == "" ? "" : "/${var.prefix}"}"
      AWS_ACCESS_KEY_ID = minio_iam_user.this.id
    },
    var.public_endpoint == null ? {} : { ENTREPOT_STORE_PUBLIC_ENDPOINT = var.public_endpoint },
  )
}

output "secret_key" {
  description = "Value of AWS_SECRET_ACCESS_KEY. The state contains it, since the provider generates it."
  value       = minio_iam_user.this.secret
  sensitive   = true
}
