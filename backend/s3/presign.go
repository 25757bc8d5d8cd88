package s3

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Signer returns a signer of URLs at Config.PublicEndpoint.
func (s *Store) Signer(ctx context.Context, now time.Time) (backend.Signer, error) {
	return s.presigner.Signer(ctx, now)
}

// Host returns the host of presigned URLs, without a port.
func (s *Store) Host() string { return s.presigner.Host() }

func newPresigner(ctx context.Context, o s3.Options, c Config, prefix string, from *s3rules.Credentials) (*s3rules.Presigner, error) {
	p := s3.EndpointParameters{
		Bucket:         &c.Bucket,
		Region:         &o.Region,
		ForcePathStyle: &c.PathStyle,
		UseFIPS:        aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack:   aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	}
	if endpoint := cmp.Or(c.PublicEndpoint, aws.ToString(o.BaseEndpoint)); endpoint != "" {
		p.Endpoint = &endpoint
	}
	// The SDK knows all of AWS's partitions and kinds of endpoints.
	at, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("resolve the bucket's address: %w", err)
	}
	return s3rules.NewPresigner(at.URI.String(), prefix, o.Region, from)
}
