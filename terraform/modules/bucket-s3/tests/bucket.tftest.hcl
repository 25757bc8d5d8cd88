mock_provider "aws" {
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws" }
  }
}

variables {
  name = "images-of-example"
}

run "defaults" {
  command = apply

  assert {
    condition     = output.environment == { ENTREPOT_STORE = "s3://images-of-example" }
    error_message = "environment is ${jsonencode(output.environment)}"
  }
  assert {
    condition     = output.cdn_url == null
    error_message = "cdn_url is not null"
  }
  assert {
    condition     = length(jsondecode(output.policy_json).Statement) == 2
    error_message = "policy is ${output.policy_json}"
  }
}

run "everything" {
  command = apply
  variables {
    prefix      = "team/images"
    replication = { bucket_arn = "arn:aws:s3:::elsewhere" }
    cloudfront = {
      public_key_pem  = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
      aliases         = ["blobs.example.com"]
      certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/0"
    }
  }

  assert {
    condition     = output.environment.ENTREPOT_STORE == "s3://images-of-example/team/images"
    error_message = "environment is ${jsonencode(output.environment)}"
  }
  assert {
    condition     = output.cdn_url == "https://blobs.example.com"
    error_message = "the CDN is ${output.cdn_url}"
  }
  assert {
    condition     = jsondecode(output.policy_json).Statement[1].Resource == "arn:aws:s3:::images-of-example/team/images/*"
    error_message = "policy is ${output.policy_json}"
  }
  assert {
    condition     = [for r in aws_s3_bucket_replication_configuration.this[0].rule : r.filter[0].prefix] == [for k in ["blobs", "manifests", "tags"] : "team/images/public/${k}/"]
    error_message = "replicates other prefixes than blobs, manifests and tags"
  }
}

run "kms_key" {
  command = apply
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0"
  }

  assert {
    condition     = jsondecode(output.policy_json).Statement[2].Resource == "arn:aws:kms:eu-central-1:123456789012:key/0"
    error_message = "policy is ${output.policy_json}"
  }
}

run "replication_with_kms_key" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0"
    replication = { bucket_arn = "arn:aws:s3:::elsewhere" }
  }
  expect_failures = [var.replication]
}

run "name_with_dots" {
  command = plan
  variables { name = "images.example.com" }
  expect_failures = [var.name]
}

run "prefix_with_leading_slash" {
  command = plan
  variables { prefix = "/images" }
  expect_failures = [var.prefix]
}

run "kms_alias" {
  command = plan
  variables { kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/images" }
  expect_failures = [var.kms_key_arn]
}

run "fractional_days" {
  command = plan
  variables { fills_days = 0.5 }
  expect_failures = [var.fills_days]
}

run "too_few_days" {
  command = plan
  variables {
    access_days    = 1
    multipart_days = 0
  }
  expect_failures = [var.access_days, var.multipart_days]
}

run "archive_storage_class" {
  command = plan
  variables { replication = { bucket_arn = "arn:aws:s3:::elsewhere", storage_class = "GLACIER" } }
  expect_failures = [var.replication]
}

run "alias_without_certificate" {
  command = plan
  variables { cloudfront = { public_key_pem = "-----BEGIN PUBLIC KEY-----\n", aliases = ["blobs.example.com"] } }
  expect_failures = [var.cloudfront]
}

run "private_key" {
  command = plan
  variables { cloudfront = { public_key_pem = "-----BEGIN PRIVATE KEY-----\n" } }
  expect_failures = [var.cloudfront]
}

run "long_name" {
  command = apply
  variables {
    name        = "a-name-of-a-bucket-that-is-as-long-as-s3-permits-any-name-to-be"
    replication = { bucket_arn = "arn:aws:s3:::elsewhere" }
  }

  assert {
    condition     = length(var.name) == 63 && length(aws_iam_role.replication[0].name) <= 64
    error_message = "role name is too long: ${aws_iam_role.replication[0].name}"
  }
}
