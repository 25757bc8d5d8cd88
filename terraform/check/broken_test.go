package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each check has to fail on what it is for: a module that somebody breaks.
func TestWhatIsBrokenIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		check    string
		file     string // from terraform/
		old, new string
		want     string // a part of what the check says
	}{
		"a space too many": {"formatted", "modules/minio/main.tf",
			`acl           = "private"`, `acl = "private"`, "main.tf"},
		"a resource that there is not, of AWS": {"valid", "modules/bucket-s3/main.tf",
			`resource "aws_s3_bucket_ownership_controls"`, `resource "aws_s3_bucket_ownership"`, `does not support resource type "aws_s3_bucket_ownership"`},
		"a resource that there is not, of Google": {"valid", "modules/gcp-cloud-run/bucket.tf",
			`resource "google_storage_hmac_key" "this"`, `resource "google_storage_hmac" "this"`, `does not support resource type "google_storage_hmac"`},
		"a resource that there is not, of MinIO": {"valid", "modules/minio/main.tf",
			`resource "minio_ilm_policy"`, `resource "minio_lifecycle"`, `does not support resource type "minio_lifecycle".`},
		"a data source that there is not": {"valid", "modules/aws-ecs/main.tf",
			`data "aws_region" "current"`, `data "aws_here" "current"`, `does not support data source "aws_here"`},
		"an argument that there is not": {"valid", "modules/aws-lambda/main.tf",
			`memory_size  `, `memory_sizes `, `An argument named "memory_sizes" is not expected here`},
		"an argument of a block that there is not": {"valid", "modules/bucket-s3/lifecycle.tf",
			`days_after_initiation`, `days`, `An argument named "days" is not expected here`},
		"an argument that is missing": {"valid", "modules/aws-lambda/function_url.tf",
			`  authorization_type = "NONE"` + "\n", "", `The argument "authorization_type" is required`},
		"an argument of a block that is missing": {"valid", "modules/gcp-cloud-run/bucket.tf",
			`      type = "AbortIncompleteMultipartUpload"` + "\n", "", `The argument "type" is required`},
		"an argument that is missing beside a dynamic block, which `validate` overlooks": {"tests", "modules/gcp-cloud-run/main.tf",
			`            secret  = google_secret_manager_secret.hmac.secret_id` + "\n", "", `The argument "secret" is required`},
		"a block that is missing": {"valid", "modules/aws-lambda/jobs.tf",
			"  flexible_time_window {\n    mode                      = \"FLEXIBLE\"\n    maximum_window_in_minutes = 15\n  }\n", "", `At least 1 "flexible_time_window" blocks are required`},
		"a block too many": {"valid", "modules/aws-lambda/main.tf",
			"  logging_config {", "  logging_config {\n    log_format = \"JSON\"\n  }\n\n  logging_config {", `No more than 1 "logging_config" blocks are allowed`},
		"a block that is an argument": {"valid", "modules/aws-ecs/balancer.tf",
			"  tags               = var.tags", "  tags {\n    a = \"b\"\n  }", `Blocks of type "tags" are not expected here`},
		"an argument that is a block": {"valid", "modules/aws-lambda/main.tf",
			"  environment {", "  environment = {", `An argument named "environment" is not expected here`},
		"a value of another type": {"valid", "modules/aws-lambda/main.tf",
			`timeout                        = var.timeout`, `timeout                        = ["60"]`, `Inappropriate value for attribute "timeout"`},
		"an attribute that there is not": {"valid", "modules/bucket-s3/cloudfront.tf",
			`aws_s3_bucket.this.bucket_regional_domain_name`, `aws_s3_bucket.this.regional_domain_name`, `no argument, nested block, or exported attribute named "regional_domain_name"`},
		"an attribute of a list of objects that there is not": {"valid", "modules/aws-lambda/api_gateway.tf",
			`domain_name_configuration[0].target_domain_name`, `domain_name_configuration[0].target`, `no argument, nested block, or exported attribute named "target"`},
		"a variable of a module that there is not": {"valid", "examples/aws-ecs/main.tf",
			`allowed_cidrs `, `allowed_networks `, `An argument named "allowed_networks" is not expected here`},
		"a variable of a module that is missing": {"valid", "examples/minio/main.tf",
			"  bucket   = \"images\"\n", "", `The argument "bucket" is required`},
		"an output of a module that there is not": {"valid", "examples/aws-lambda/main.tf",
			`module.bucket.policy_json`, `module.bucket.policy`, `does not have an attribute named "policy"`},
		"a version of a provider that there is not": {"valid", "modules/aws-ecs/versions.tf",
			`"~> 6.0"`, `"~> 5.0"`, "hashicorp/aws"},
		"a variable that lets in anything": {"tests", "modules/bucket-s3/variables.tf",
			`condition     = var.fills_days >= 1 && floor(var.fills_days) == var.fills_days`, `condition     = var.fills_days != null`, "half_a_day"},
		"a number of resources that is not known at first": {"tests", "modules/aws-ecs/network.tf",
			`count             = length(var.route_table_ids) == 0 ? 0 : 1`, `for_each          = toset(var.route_table_ids)`, "Invalid for_each argument"},
		"a URL that is put together wrongly": {"tests", "modules/minio/outputs.tf",
			`"minio" : "minio+http"`, `"minio" : "minio"`, "environment is"},
		"a secret that gets into the service's configuration": {"tests", "modules/gcp-cloud-run/main.tf",
			`AWS_REGION          = "auto"`, `AWS_REGION          = google_storage_hmac_key.this.secret`, "the key is in Secret Manager alone"},
		"client configuration that is wrong": {"tests", "modules/client-config/outputs.tf",
			`[host."${local.url}"]`, `[host."${local.host}"]`, "hosts.toml is"},
		"a variable without a type": {"lint", "modules/minio/variables.tf",
			`  type        = bool` + "\n", "", "terraform_typed_variables"},
		"a variable without a description": {"lint", "modules/aws-lambda/variables.tf",
			`  description = "Days that the log is kept."` + "\n", "", "terraform_documented_variables"},
		"a variable that nothing uses": {"lint", "modules/aws-ecs/variables.tf",
			`variable "tags" {`, "variable \"unused\" {\n  description = \"Unused.\"\n  type        = string\n}\n\nvariable \"tags\" {", "terraform_unused_declarations"},
		"a README that is out of date": {"documented", "modules/bucket-s3/variables.tf",
			`description = "Name of the bucket."`, `description = "What the bucket is called."`, "out of date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := copied(t)
			breakFile(t, root, c.file, c.old, c.new)
			err := checks[c.check](t, root, filepath.Dir(c.file))
			if err == nil {
				t.Fatal("it is not found")
			}
			if said := unwrapped(err.Error()); !strings.Contains(said, c.want) {
				t.Errorf("it says\n%s\nwant %q", said, c.want)
			}
		})
	}
}

// breakFile puts the text new in the place of old.
func breakFile(t *testing.T, root, file, old, new string) {
	t.Helper()
	path := filepath.Join(root, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q to break", file, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unwrapped is a text without the breaks that make its lines short.
func unwrapped(s string) string { return strings.Join(strings.Fields(s), " ") }
