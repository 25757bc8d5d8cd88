package s3_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/s3"
)

// The SDK decides where the bucket's name goes. entrepot relies on these cases.
func TestPresignedURLs(t *testing.T) {
	for want, c := range map[string]s3.Config{
		"https://layers.s3.eu-central-1.amazonaws.com/p/a%3Ab":      {Bucket: "layers", AWS: aws.Config{Region: "eu-central-1"}},
		"https://layers.s3.cn-north-1.amazonaws.com.cn/p/a%3Ab":     {Bucket: "layers", AWS: aws.Config{Region: "cn-north-1"}},
		"https://s3.eu-central-1.amazonaws.com/dotted.name/p/a%3Ab": {Bucket: "dotted.name", AWS: aws.Config{Region: "eu-central-1"}},
		"https://s3.eu-central-1.amazonaws.com/layers/p/a%3Ab":      {Bucket: "layers", AWS: aws.Config{Region: "eu-central-1"}, PathStyle: true},
		"https://layers.acc.r2.cloudflarestorage.com/p/a%3Ab": {Bucket: "layers",
			AWS: aws.Config{Region: "auto", BaseEndpoint: aws.String("https://acc.r2.cloudflarestorage.com")}},
		"http://minio:9000/layers/p/a%3Ab": {Bucket: "layers", PathStyle: true,
			AWS: aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://minio:9000/")}},
		"https://s3.example.com/layers/p/a%3Ab": {Bucket: "layers", PathStyle: true, PublicEndpoint: "https://s3.example.com",
			AWS: aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://minio:9000")}},
	} {
		c.Prefix = "p"
		c.AWS.Credentials = credentials.NewStaticCredentialsProvider("key", "secret", "token")
		s, err := s3.Open(t.Context(), c)
		require.NoError(t, err)
		signer, err := s.Signer(t.Context(), time.Now())
		require.NoError(t, err)
		signed, _, err := signer.PresignGet("a:b", time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), time.Hour)
		require.NoError(t, err)
		u, err := url.Parse(signed)
		require.NoError(t, err)
		query := u.Query()
		u.RawQuery = ""
		require.Equal(t, want, u.String())
		require.Equal(t, "20261123T120000Z", query.Get("X-Amz-Date"))
		require.Equal(t, "3600", query.Get("X-Amz-Expires"))
		require.Equal(t, "host", query.Get("X-Amz-SignedHeaders"))
		require.Equal(t, "key/20261123/"+c.AWS.Region+"/s3/aws4_request", query.Get("X-Amz-Credential"))
		require.Equal(t, "token", query.Get("X-Amz-Security-Token"))
	}
}
