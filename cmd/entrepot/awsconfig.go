package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"

	"github.com/entrepot-io/entrepot/backend/s3"
)

// regionTimeout bounds the request for the region to EC2's metadata service. Outside EC2 its address does not respond.
const regionTimeout = 2 * time.Second

// awsConfig reads the AWS configuration for the bucket and returns it with the endpoint it names; the endpoint is empty
// for AWS itself.
func (c config) awsConfig(ctx context.Context, log *slog.Logger) (cfg aws.Config, endpoint string, err error) {
	client := awshttp.NewBuildableClient()
	if idle := c.platform.idleTimeout(); idle > 0 {
		client = client.WithTransportOptions(func(t *http.Transport) { t.IdleConnTimeout = idle })
	}
	cfg, err = awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(client),
		awsconfig.WithLogger(awsLogger(log)),
		awsconfig.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) {
			o.ExpiryWindow = 0 // a window, 5 minutes for some sources, makes credentials seem to expire early
		}))
	if err != nil {
		return cfg, "", fmt.Errorf("load AWS configuration: %w", err)
	}
	if endpoint = s3.Endpoint(cfg); cfg.Region != "" {
		return cfg, endpoint, nil
	}
	if endpoint != "" {
		cfg.Region = "us-east-1" // accepted by stores other than AWS
		return cfg, endpoint, nil
	}
	if cfg.Region, err = instanceRegion(ctx, cfg); err != nil {
		log.Debug("no region in the EC2 metadata", "error", err)
		return cfg, "", errors.New("unknown region of the bucket; set AWS_REGION, for example to eu-central-1")
	}
	return cfg, "", nil
}

// instanceRegion returns the region of the EC2 instance that the program runs on.
func instanceRegion(ctx context.Context, cfg aws.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, regionTimeout)
	defer cancel()
	out, err := imds.NewFromConfig(cfg).GetRegion(ctx, &imds.GetRegionInput{})
	if err != nil {
		return "", err
	}
	return out.Region, nil
}

// awsLogger returns a logger for the AWS library that writes to log.
func awsLogger(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(class logging.Classification, format string, values ...any) {
		level := slog.LevelDebug
		if class == logging.Warn {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "AWS library message", "message", fmt.Sprintf(format, values...))
	})
}
