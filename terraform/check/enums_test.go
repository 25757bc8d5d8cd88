package check_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gateway "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecs "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	lambda "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	s3 "github.com/aws/aws-sdk-go-v2/service/s3/types"
	scheduler "github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"github.com/entrepot-io/entrepot/terraform/check/schema"
)

// enum converts the values of an enumeration in AWS's SDK to strings.
func enum[T ~string](values []T) (all []string) {
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

// enums maps the path of an argument (resource, blocks, argument) to its valid values. The schema of the AWS provider does
// not list them, but AWS's SDK does.
var enums = map[string][]string{
	"aws_apigatewayv2_api protocol_type":                                                                            enum(gateway.ProtocolType("").Values()),
	"aws_apigatewayv2_domain_name domain_name_configuration endpoint_type":                                          enum(gateway.EndpointType("").Values()),
	"aws_apigatewayv2_domain_name domain_name_configuration security_policy":                                        enum(gateway.SecurityPolicy("").Values()),
	"aws_apigatewayv2_integration integration_type":                                                                 enum(gateway.IntegrationType("").Values()),
	"aws_appautoscaling_policy policy_type":                                                                         enum(scaling.PolicyType("").Values()),
	"aws_appautoscaling_target scalable_dimension":                                                                  enum(scaling.ScalableDimension("").Values()),
	"aws_appautoscaling_target service_namespace":                                                                   enum(scaling.ServiceNamespace("").Values()),
	"aws_cloudfront_distribution default_cache_behavior allowed_methods":                                            enum(cloudfront.Method("").Values()),
	"aws_cloudfront_distribution default_cache_behavior viewer_protocol_policy":                                     enum(cloudfront.ViewerProtocolPolicy("").Values()),
	"aws_cloudfront_distribution http_version":                                                                      enum(cloudfront.HttpVersion("").Values()),
	"aws_cloudfront_distribution price_class":                                                                       enum(cloudfront.PriceClass("").Values()),
	"aws_cloudfront_distribution restrictions geo_restriction restriction_type":                                     enum(cloudfront.GeoRestrictionType("").Values()),
	"aws_cloudfront_distribution viewer_certificate minimum_protocol_version":                                       enum(cloudfront.MinimumProtocolVersion("").Values()),
	"aws_cloudfront_distribution viewer_certificate ssl_support_method":                                             enum(cloudfront.SSLSupportMethod("").Values()),
	"aws_cloudfront_origin_access_control origin_access_control_origin_type":                                        enum(cloudfront.OriginAccessControlOriginTypes("").Values()),
	"aws_cloudfront_origin_access_control signing_behavior":                                                         enum(cloudfront.OriginAccessControlSigningBehaviors("").Values()),
	"aws_cloudfront_origin_access_control signing_protocol":                                                         enum(cloudfront.OriginAccessControlSigningProtocols("").Values()),
	"aws_ecs_service launch_type":                                                                                   enum(ecs.LaunchType("").Values()),
	"aws_ecs_service propagate_tags":                                                                                enum(ecs.PropagateTags("").Values()),
	"aws_ecs_task_definition network_mode":                                                                          enum(ecs.NetworkMode("").Values()),
	"aws_ecs_task_definition requires_compatibilities":                                                              enum(ecs.Compatibility("").Values()),
	"aws_ecs_task_definition runtime_platform cpu_architecture":                                                     enum(ecs.CPUArchitecture("").Values()),
	"aws_ecs_task_definition runtime_platform operating_system_family":                                              enum(ecs.OSFamily("").Values()),
	"aws_lambda_function architectures":                                                                             enum(lambda.Architecture("").Values()),
	"aws_lambda_function logging_config log_format":                                                                 enum(lambda.LogFormat("").Values()),
	"aws_lambda_function package_type":                                                                              enum(lambda.PackageType("").Values()),
	"aws_lambda_function runtime":                                                                                   enum(lambda.Runtime("").Values()),
	"aws_lambda_function_url authorization_type":                                                                    enum(lambda.FunctionUrlAuthType("").Values()),
	"aws_lambda_function_url invoke_mode":                                                                           enum(lambda.InvokeMode("").Values()),
	"aws_lambda_permission function_url_auth_type":                                                                  enum(lambda.FunctionUrlAuthType("").Values()),
	"aws_lb load_balancer_type":                                                                                     enum(elb.LoadBalancerTypeEnum("").Values()),
	"aws_lb_listener default_action redirect status_code":                                                           enum(elb.RedirectActionStatusCodeEnum("").Values()),
	"aws_lb_listener default_action type":                                                                           enum(elb.ActionTypeEnum("").Values()),
	"aws_lb_listener protocol":                                                                                      enum(elb.ProtocolEnum("").Values()),
	"aws_lb_target_group protocol":                                                                                  enum(elb.ProtocolEnum("").Values()),
	"aws_lb_target_group target_type":                                                                               enum(elb.TargetTypeEnum("").Values()),
	"aws_s3_bucket_lifecycle_configuration rule status":                                                             enum(s3.ExpirationStatus("").Values()),
	"aws_s3_bucket_ownership_controls rule object_ownership":                                                        enum(s3.ObjectOwnership("").Values()),
	"aws_s3_bucket_replication_configuration rule delete_marker_replication status":                                 enum(s3.DeleteMarkerReplicationStatus("").Values()),
	"aws_s3_bucket_replication_configuration rule destination storage_class":                                        enum(s3.StorageClass("").Values()),
	"aws_s3_bucket_replication_configuration rule status":                                                           enum(s3.ReplicationRuleStatus("").Values()),
	"aws_s3_bucket_server_side_encryption_configuration rule apply_server_side_encryption_by_default sse_algorithm": enum(s3.ServerSideEncryption("").Values()),
	"aws_s3_bucket_versioning versioning_configuration status":                                                      enum(s3.BucketVersioningStatus("").Values()),
	"aws_scheduler_schedule flexible_time_window mode":                                                              enum(scheduler.FlexibleTimeWindowMode("").Values()),
	"aws_vpc_endpoint vpc_endpoint_type":                                                                            enum(ec2.VpcEndpointType("").Values()),
}

// set lists the computed arguments that the modules set. Mocks invent values for all other computed arguments.
var set = []string{"google_cloud_run_v2_service ingress"}

// listed adds the enumerations in the schema of a block to found.
func listed(found map[string][]string, path string, b *schema.Block) {
	for name, a := range b.Attributes {
		if at := path + " " + name; a.Values != nil && (!a.Computed || slices.Contains(set, at)) {
			found[at] = a.Values
		}
	}
	for name, n := range b.Blocks {
		listed(found, path+" "+name, n.Block)
	}
}

func TestEnumValuesAreValid(t *testing.T) {
	seen := map[string]bool{}
	root := copied(t)
	for _, module := range []string{"bucket-s3", "aws-lambda", "aws-ecs", "gcp-cloud-run"} {
		runs, out, err := applied(t, filepath.Join(root, "modules", module))
		if err != nil {
			t.Fatal(withOutput(out, err))
		}
		for run, s := range runs {
			for _, wrong := range s.notInEnums(t, seen) {
				t.Errorf("%s: %s: %s", module, run, wrong)
			}
		}
	}
	for _, path := range slices.AppendSeq(append(slices.Clone(set), "google_storage_bucket lifecycle_rule action type"), maps.Keys(enums)) {
		if !seen[path] {
			t.Errorf("no module test sets %s", path)
		}
	}
}

func TestInvalidEnumValuesAreFound(t *testing.T) {
	for _, c := range []struct{ module, file, old, new, run, want string }{
		{"aws-lambda", "main.tf", `"provided.al2023"`, `"provided.al2026"`, "function_url",
			`aws_lambda_function runtime is "provided.al2026", want one of`},
		{"gcp-cloud-run", "bucket.tf", `"AbortIncompleteMultipartUpload"`, `"AbortMultipartUpload"`, "defaults",
			`google_storage_bucket lifecycle_rule action type is "AbortMultipartUpload", want one of`},
	} {
		root := copied(t)
		breakFile(t, root, filepath.Join("modules", c.module, c.file), c.old, c.new)
		runs, out, err := applied(t, filepath.Join(root, "modules", c.module))
		if err != nil {
			t.Fatal(withOutput(out, err))
		}
		wrong := runs[c.run].notInEnums(t, map[string]bool{})
		if len(wrong) != 1 || !strings.Contains(wrong[0], c.want) {
			t.Errorf("found %q, want %s", wrong, c.want)
		}
	}
}

// notInEnums describes each value that is not in its enumeration. It adds the enumerations that have values to seen.
func (s state) notInEnums(t *testing.T, seen map[string]bool) (wrong []string) {
	t.Helper()
	all := maps.Clone(enums)
	maps.Copy(all, described)
	for _, r := range s.Values.Root.Resources {
		var values map[string]any
		if err := json.Unmarshal(r.Values, &values); err != nil {
			t.Fatal(err)
		}
		for path, known := range all {
			steps := strings.Fields(path)
			if steps[0] != r.Type {
				continue
			}
			for _, value := range at(values, steps[1:]) {
				seen[path] = true
				if !slices.Contains(known, value) {
					wrong = append(wrong, fmt.Sprintf("%s is %q, want one of %q", path, value, known))
				}
			}
		}
	}
	return wrong
}

// at returns all non-empty strings at a path. It descends into lists.
func at(value any, path []string) (found []string) {
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			found = append(found, at(one, path)...)
		}
	case map[string]any:
		if len(path) > 0 {
			return at(v[path[0]], path[1:])
		}
	case string:
		if len(path) == 0 && v != "" {
			return []string{v}
		}
	}
	return found
}
