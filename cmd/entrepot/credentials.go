package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// lambdaLife is the assumed remaining lifetime of a Lambda function's credentials, which carry no expiry. They outlast the
// longest invocation that can start with them, which takes 15 minutes.
const lambdaLife = 15 * time.Minute

// onLambda reports whether the environment has a Lambda function's own credentials.
func onLambda() bool {
	return os.Getenv("AWS_LAMBDA_FUNCTION_NAME") != "" && os.Getenv("AWS_SESSION_TOKEN") != ""
}

// s3Credentials returns the provider found by the AWS configuration. On Lambda it adds an expiry.
func s3Credentials(found aws.CredentialsProvider) aws.CredentialsProvider {
	if !onLambda() {
		return found
	}
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := found.Retrieve(ctx)
		if c.SessionToken != "" && !c.CanExpire {
			c.CanExpire, c.Expires = true, time.Now().Add(lambdaLife)
		}
		return c, err
	})
}

// minioCredentials returns the credentials for a store that is not configured through the AWS SDK: keys from the
// environment, otherwise temporary credentials for a workload identity token or from a container's agent, configured by the
// AWS variables. The token goes to AWS_ENDPOINT_URL_STS or, as MinIO supports it, to the store at endpoint.
func minioCredentials(endpoint string) (*credentials.Credentials, error) {
	key, secret, token := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	if key == "" || secret == "" {
		key, secret, token = os.Getenv("MINIO_ACCESS_KEY"), os.Getenv("MINIO_SECRET_KEY"), ""
	}
	switch {
	case key != "" && secret != "":
		v := credentials.Value{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token, SignerType: credentials.SignatureV4}
		if token != "" && onLambda() {
			return credentials.New(lambdaCredentials{v}), nil
		}
		return credentials.NewStaticV4(key, secret, token), nil
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return credentials.New(&credentials.IAM{Endpoint: cmp.Or(os.Getenv("AWS_ENDPOINT_URL_STS"), endpoint)}), nil
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "":
		return credentials.New(&credentials.IAM{}), nil
	}
	return nil, errors.New("no credentials for the store; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or MINIO_ACCESS_KEY and MINIO_SECRET_KEY")
}

// lambdaCredentials provides a Lambda function's credentials to minio-go, with an expiry.
type lambdaCredentials struct{ credentials.Value }

func (l lambdaCredentials) Retrieve() (credentials.Value, error) {
	return l.RetrieveWithCredContext(nil)
}

func (l lambdaCredentials) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	v := l.Value
	v.Expiration = time.Now().Add(lambdaLife)
	return v, nil
}

// IsExpired makes minio-go retrieve the credentials, with a new expiry, for every request.
func (l lambdaCredentials) IsExpired() bool { return true }
