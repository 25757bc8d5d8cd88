package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBrokenModulesAreFound checks that every check can fail.
func TestBrokenModulesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		check    string
		file     string // relative to terraform/
		old, new string
		want     string // part of the check's error
	}{
		"unformatted file": {"formatted", "modules/minio/main.tf",
			`acl           = "private"`, `acl = "private"`, "main.tf"},
		"unknown AWS resource": {"valid", "modules/bucket-s3/main.tf",
			`resource "aws_s3_bucket_ownership_controls"`, `resource "aws_s3_bucket_ownership"`, `does not support resource type "aws_s3_bucket_ownership"`},
		"unknown Google resource": {"valid", "modules/gcp-cloud-run/bucket.tf",
			`resource "google_storage_hmac_key" "this"`, `resource "google_storage_hmac" "this"`, `does not support resource type "google_storage_hmac"`},
		"unknown MinIO resource": {"valid", "modules/minio/main.tf",
			`resource "minio_ilm_policy"`, `resource "minio_lifecycle"`, `does not support resource type "minio_lifecycle".`},
		"unknown data source": {"valid", "modules/aws-ecs/main.tf",
			`data "aws_region" "current"`, `data "aws_here" "current"`, `does not support data source "aws_here"`},
		"unknown argument": {"valid", "modules/aws-lambda/main.tf",
			`memory_size  `, `memory_sizes `, `An argument named "memory_sizes" is not expected here`},
		"unknown argument of a block": {"valid", "modules/bucket-s3/lifecycle.tf",
			`days_after_initiation`, `days`, `An argument named "days" is not expected here`},
		"missing argument": {"valid", "modules/aws-lambda/function_url.tf",
			`  authorization_type = "NONE"` + "\n", "", `The argument "authorization_type" is required`},
		"missing argument of a block": {"valid", "modules/gcp-cloud-run/bucket.tf",
			`      type = "AbortIncompleteMultipartUpload"` + "\n", "", `The argument "type" is required`},
		"missing argument beside a dynamic block, which validate overlooks": {"tests", "modules/gcp-cloud-run/main.tf",
			`            secret  = google_secret_manager_secret.hmac.secret_id` + "\n", "", `The argument "secret" is required`},
		"missing block": {"valid", "modules/aws-lambda/jobs.tf",
			"  flexible_time_window {\n    mode                      = \"FLEXIBLE\"\n    maximum_window_in_minutes = 15\n  }\n", "", `At least 1 "flexible_time_window" blocks are required`},
		"duplicate block": {"valid", "modules/aws-lambda/main.tf",
			"  logging_config {", "  logging_config {\n    log_format = \"JSON\"\n  }\n\n  logging_config {", `No more than 1 "logging_config" blocks are allowed`},
		"block instead of an argument": {"valid", "modules/aws-ecs/balancer.tf",
			"  tags               = var.tags", "  tags {\n    a = \"b\"\n  }", `Blocks of type "tags" are not expected here`},
		"argument instead of a block": {"valid", "modules/aws-lambda/main.tf",
			"  environment {", "  environment = {", `An argument named "environment" is not expected here`},
		"value of the wrong type": {"valid", "modules/aws-lambda/main.tf",
			`timeout                        = var.timeout`, `timeout                        = ["60"]`, `Inappropriate value for attribute "timeout"`},
		"unknown attribute": {"valid", "modules/bucket-s3/cloudfront.tf",
			`aws_s3_bucket.this.bucket_regional_domain_name`, `aws_s3_bucket.this.regional_domain_name`, `no argument, nested block, or exported attribute named "regional_domain_name"`},
		"unknown attribute in a list of objects": {"valid", "modules/aws-lambda/api_gateway.tf",
			`domain_name_configuration[0].target_domain_name`, `domain_name_configuration[0].target`, `no argument, nested block, or exported attribute named "target"`},
		"unknown variable of a module": {"valid", "examples/aws-ecs/main.tf",
			`allowed_cidrs `, `allowed_networks `, `An argument named "allowed_networks" is not expected here`},
		"missing variable of a module": {"valid", "examples/minio/main.tf",
			"  bucket   = \"images\"\n", "", `The argument "bucket" is required`},
		"unknown output of a module": {"valid", "examples/aws-lambda/main.tf",
			`module.bucket.policy_json`, `module.bucket.policy`, `does not have an attribute named "policy"`},
		"unknown version of a provider": {"valid", "modules/aws-ecs/versions.tf",
			`"~> 6.0"`, `"~> 5.0"`, "hashicorp/aws"},
		"variable without validation": {"tests", "modules/bucket-s3/variables.tf",
			`condition     = var.fills_days >= 1 && floor(var.fills_days) == var.fills_days`, `condition     = var.fills_days != null`, "fractional_days"},
		"number of resources unknown in the plan": {"tests", "modules/aws-ecs/network.tf",
			`count             = length(var.route_table_ids) == 0 ? 0 : 1`, `for_each          = toset(var.route_table_ids)`, "Invalid for_each argument"},
		"wrong URL": {"tests", "modules/minio/outputs.tf",
			`"minio" : "minio+http"`, `"minio" : "minio"`, "environment is"},
		"secret in the service's configuration": {"tests", "modules/gcp-cloud-run/main.tf",
			`AWS_REGION          = "auto"`, `AWS_REGION          = google_storage_hmac_key.this.secret`, "the service's configuration contains the key"},
		"wrong client configuration": {"tests", "modules/client-config/outputs.tf",
			`[host."${local.url}"]`, `[host."${local.host}"]`, "hosts.toml is"},
		"variable without a type": {"lint", "modules/minio/variables.tf",
			`  type        = bool` + "\n", "", "terraform_typed_variables"},
		"variable without a description": {"lint", "modules/aws-lambda/variables.tf",
			`  description = "Days to keep the log."` + "\n", "", "terraform_documented_variables"},
		"unused variable": {"lint", "modules/aws-ecs/variables.tf",
			`variable "tags" {`, "variable \"unused\" {\n  description = \"Unused.\"\n  type        = string\n}\n\nvariable \"tags\" {", "terraform_unused_declarations"},
		"outdated README": {"documented", "modules/bucket-s3/variables.tf",
			`description = "Name of the bucket."`, `description = "The bucket's name."`, "out of date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := copied(t)
			breakFile(t, root, c.file, c.old, c.new)
			err := checks[c.check](t, root, filepath.Dir(c.file))
			if err == nil {
				t.Fatal("check passed")
			}
			if got := unwrapped(err.Error()); !strings.Contains(got, c.want) {
				t.Errorf("check failed with\n%s\nwant %q", got, c.want)
			}
		})
	}
}

// breakFile replaces the first occurrence of old in a file with new.
func breakFile(t *testing.T, root, file, old, new string) {
	t.Helper()
	path := filepath.Join(root, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not contain %q", file, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unwrapped returns s as one line.
func unwrapped(s string) string { return strings.Join(strings.Fields(s), " ") }
