package s3

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Endpoint returns the URL configured for S3: by AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or endpoint_url of a profile or its
// services section. It returns "" for AWS itself.
func Endpoint(c aws.Config) string {
	return aws.ToString(s3.NewFromConfig(c).Options().BaseEndpoint) // as the SDK resolves it
}
