package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// secretsTimeout bounds the reading of all secrets. A function on Lambda has 10 s to start.
const secretsTimeout = 8 * time.Second

// secret is a text that is never printed. Until readSecrets it may be the ARN of an AWS Secrets Manager secret that
// contains the text.
type secret string

func (s *secret) UnmarshalText(text []byte) error { //nolint:unparam // it is an encoding.TextUnmarshaler
	*s = secret(text)
	return nil
}

func (s secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the text from %#v.
func (s secret) GoString() string { return s.String() }

// readSecrets replaces ARNs of secrets by their texts.
func (c *config) readSecrets(ctx context.Context, log *slog.Logger) error {
	if c.Offline {
		c.DockerConfig = "" // not needed, and Secrets Manager may be out of reach
	}
	ctx, cancel := context.WithTimeout(ctx, secretsTimeout)
	defer cancel()
	for variable, s := range map[string]*secret{"ENTREPOT_CDN_KEY": &c.CDNKey, "ENTREPOT_DOCKER_CONFIG": &c.DockerConfig} {
		name, err := arn.Parse(string(*s))
		if err != nil {
			continue // not an ARN but the text itself
		}
		if name.Service != "secretsmanager" {
			return wrong(variable, "%q is not the ARN of a Secrets Manager secret", name)
		}
		text, err := readSecret(ctx, name, log)
		if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorFault() != smithy.FaultServer {
			return wrong(variable, "read secret %s: %s: %s", name, api.ErrorCode(), api.ErrorMessage())
		}
		if err != nil {
			return fmt.Errorf("%s: read secret %s: %w", variable, name, err)
		}
		if *s = text; text == "" {
			return wrong(variable, "secret %s is empty", name)
		}
	}
	return nil
}

func readSecret(ctx context.Context, name arn.ARN, log *slog.Logger) (secret, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(name.Region), awsconfig.WithLogger(awsLogger(log)))
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
