package s3

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// keep renews the source's credentials before they are valid for less than left.
func keep(source aws.CredentialsProvider, left time.Duration) *s3rules.Credentials {
	return s3rules.NewCredentials(func(ctx context.Context) (aws.Credentials, error) {
		if cache, ok := source.(*aws.CredentialsCache); ok {
			cache.Invalidate() // otherwise it returns the old ones until they expire
		}
		return source.Retrieve(ctx)
	}, left)
}
