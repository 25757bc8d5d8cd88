mock_provider "minio" {
  mock_resource "minio_iam_user" {
    defaults = { id = "entrepot", secret = "s3cret" }
  }
}

variables {
  bucket   = "images"
  endpoint = "http://minio:9000"
}

run "defaults" {
  command = apply

  assert {
    condition     = output.environment == { ENTREPOT_STORE = "minio+http://minio:9000/images", AWS_ACCESS_KEY_ID = "entrepot" }
    error_message = "environment is ${jsonencode(output.environment)}"
  }
  assert {
    condition     = [for r in minio_ilm_policy.this.rule : "${r.filter} ${r.expiration}"] == ["public/fills/ 1d", "access/ 90d"]
    error_message = "wrong lifecycle rules: ${jsonencode(minio_ilm_policy.this.rule)}"
  }
}

run "everything" {
  command = apply
  variables {
    endpoint        = "https://minio.example.com:9000"
    public_endpoint = "https://s3.example.com"
    prefix          = "team/images"
    quota           = 1000000000000
  }

  assert {
    condition     = output.environment.ENTREPOT_STORE == "minio://minio.example.com:9000/images/team/images"
    error_message = "environment is ${jsonencode(output.environment)}"
  }
  assert {
    condition     = jsondecode(output.policy_json).Statement[1].Resource == ["arn:aws:s3:::images/team/images/*"]
    error_message = output.policy_json
  }
}

run "invalid_values" {
  command = plan
  variables {
    bucket          = "Images"
    endpoint        = "minio:9000"
    public_endpoint = "https://s3.example.com/images"
    user            = "me"
    prefix          = "images/"
    quota           = 0
    fills_days      = 0
    access_days     = 1
  }
  expect_failures = [
    var.bucket, var.endpoint, var.public_endpoint, var.user, var.prefix, var.quota, var.fills_days, var.access_days,
  ]
}
