package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// secretsWithin is how long reading a secret may take. A function on Lambda has 10 s for its start.
const secretsWithin = 8 * time.Second

// secret is a text that is not shown. It may be the ARN of a secret in AWS Secrets Manager that is the text.
type secret string

func (s *secret) UnmarshalText(text []byte) error {
	*s = secret(text)
	return nil
}

func (s secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString keeps it from %#v too.
func (s secret) GoString() string { return s.String() }

// readSecrets puts the texts of secrets into the places of their ARNs.
func (c *config) readSecrets(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, secretsWithin)
	defer cancel()
	for variable, s := range map[string]*secret{"ENTREPOT_CDN_KEY": &c.CDNKey, "ENTREPOT_DOCKER_CONFIG": &c.DockerConfig} {
		name, err := arn.Parse(string(*s))
		if err != nil {
			continue // it is the text itself
		}
		if name.Service != "secretsmanager" {
			return wrong(variable, "%q is not the ARN of a secret in Secrets Manager", name)
		}
		text, err := readSecret(ctx, name)
		if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorFault() != smithy.FaultServer {
			return wrong(variable, "the secret %s cannot be read: %s: %s", name, api.ErrorCode(), api.ErrorMessage())
		}
		if err != nil {
			return fmt.Errorf("%s: the secret %s cannot be read: %w", variable, name, err)
		}
		if *s = text; text == "" {
			return wrong(variable, "the secret %s is empty", name)
		}
	}
	return nil
}

func readSecret(ctx context.Context, name arn.ARN) (secret, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(name.Region))
	if err != nil {
		return "", err
	}
	value, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(name.String())})
	if err != nil {
		return "", err
	}
	if value.SecretString == nil {
		return secret(value.SecretBinary), nil
	}
	return secret(*value.SecretString), nil
}
