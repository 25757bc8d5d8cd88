package minio

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Signer returns a signer of URLs at Config.PublicEndpoint.
func (s *Store) Signer(ctx context.Context, now time.Time) (backend.Signer, error) {
	return s.presigner.Signer(ctx, now)
}

// Host returns the host of presigned URLs, without a port.
func (s *Store) Host() string { return s.presigner.Host() }

func newPresigner(c Config, endpoint, prefix string, from *s3rules.Credentials) (*s3rules.Presigner, error) {
	bucket, err := bucketURL(c, endpoint)
	if err != nil {
		return nil, fmt.Errorf("public endpoint %q: %w", endpoint, err)
	}
	return s3rules.NewPresigner(bucket, prefix, c.Region, from)
}

// bucketURL returns the bucket's URL at an endpoint, with the name in the host or in the path as minio-go decides. It
// derives it from a presigned URL, which takes no I/O if region and credentials are known.
func bucketURL(c Config, endpoint string) (string, error) {
	at, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if at.Host == "" || strings.Trim(at.Path, "/") != "" || (at.Scheme != "http" && at.Scheme != "https") {
		return "", errors.New("invalid URL: want http[s]://host[:port]")
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds: credentials.NewStaticV4("any", "any", ""), Secure: at.Scheme == "https", Region: c.Region,
		BucketLookup: c.Lookup,
	})
	if err != nil {
		return "", err
	}
	const key = "key"
	u, err := client.PresignedGetObject(context.Background(), c.Bucket, key, time.Hour, nil)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, strings.TrimSuffix(u.EscapedPath(), key)), nil
}
