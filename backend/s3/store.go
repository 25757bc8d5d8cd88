// Package s3 implements the object store in a bucket of S3 or a compatible store, with aws-sdk-go-v2. It supports all of
// AWS's sources of credentials. Package minio is the lighter choice for other stores.
//
// The credentials need s3:ListBucket on the bucket, and not only for List: without it AWS responds to a GET of a missing
// object with 403, so every miss would be backend.ErrDenied.
package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/link"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Config locates the bucket.
type Config struct {
	AWS       aws.Config // Region is required; BaseEndpoint too except for AWS
	Bucket    string
	Prefix    string // path within the bucket, at most 100 bytes; empty: the whole bucket
	PathStyle bool   // put the bucket's name into the path, not into the host

	// CredentialsLeft is how long temporary credentials must remain valid when they are used, if AWS.Credentials issues
	// such.
	CredentialsLeft time.Duration
	// PublicEndpoint is the URL at which clients reach the store, for presigned URLs. Empty: AWS.BaseEndpoint.
	PublicEndpoint string
	// PartSize is the maximum size of one request in bytes; larger objects are sent in parts. 0: 5 GiB, S3's limit.
	PartSize int64
	// Transport wraps the transport of AWS.HTTPClient, if set.
	Transport func(http.RoundTripper) http.RoundTripper
	// Stall bounds how long a request may wait for the store without progress. 0: 20 s. Copying and completing an upload may
	// take 6 times as long.
	Stall time.Duration
}

// Store is a bucket or a part of one. It implements backend.Store and all optional abilities. ETags keep the quotes of
// S3's headers.
type Store struct {
	client    *s3.Client
	bucket    string
	prefix    string // empty, or ends with a slash
	partSize  int64
	presigner *s3rules.Presigner
	quirks    s3rules.Quirks

	s3rules.Denials
}

var (
	_ backend.Store         = (*Store)(nil)
	_ backend.Composer      = (*Store)(nil)
	_ backend.Presigner     = (*Store)(nil)
	_ backend.Sweeper       = (*Store)(nil)
	_ backend.UploadExpirer = (*Store)(nil)
	_ backend.Denier        = (*Store)(nil)
)

// Open returns the store for c. It does no I/O, so a missing bucket only shows on the first call.
func Open(ctx context.Context, c Config) (*Store, error) {
	prefix, err := s3rules.Prefix(c.Prefix)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", c.Bucket, err)
	}
	if c.AWS.Region == "" {
		return nil, fmt.Errorf("open bucket %s: no region configured", c.Bucket)
	}
	if c.AWS.Credentials == nil {
		return nil, fmt.Errorf("open bucket %s: no credentials configured", c.Bucket)
	}
	from := keep(c.AWS.Credentials, c.CredentialsLeft)
	c.AWS.Credentials = from
	client := s3.NewFromConfig(c.AWS, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		// By default every upload has a CRC-32 in a trailer. R2, GCS, DigitalOcean and older Ceph refuse that.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.HTTPClient = wrap(o.HTTPClient, c)
		o.Retryer = aws.NopRetryer{} // package s3rules retries
	})
	presigner, err := newPresigner(ctx, client.Options(), c, prefix, from)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", c.Bucket, err)
	}
	return &Store{
		client: client, bucket: c.Bucket, prefix: prefix, presigner: presigner,
		partSize: cmp.Or(c.PartSize, s3rules.MaxPart),
	}, nil
}

// wrap wraps the transport of a client. It keeps the client itself, which supports AWS_CA_BUNDLE and proxies
// (aws-sdk-go-v2#3149).
func wrap(client s3.HTTPClient, c Config) s3.HTTPClient {
	if own, ok := client.(*awshttp.BuildableClient); ok {
		// Without the SDK's read timeout, which also applies while the store copies.
		client = own.WithDialerOptions(link.Dial).WithTransportOptions(link.Tune).WithReadTimeout(0)
	}
	var t http.RoundTripper = transport{client}
	if c.Transport != nil {
		t = c.Transport(t)
	}
	return wrapped{link.Guard(t, c.Stall)}
}

type transport struct{ client s3.HTTPClient }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.client.Do(r) }

type wrapped struct{ transport http.RoundTripper }

func (w wrapped) Do(r *http.Request) (*http.Response, error) { return w.transport.RoundTrip(r) }

// key returns the key in the bucket.
func (s *Store) key(key string) *string { return aws.String(s.prefix + key) }

// Stat describes the object. If the bucket is missing, the error is backend.ErrNotFound.
func (s *Store) Stat(ctx context.Context, key string) (backend.Object, error) {
	if err := backend.CheckKey(key); err != nil {
		return backend.Object{}, err
	}
	return s3rules.Retry(ctx, func() (backend.Object, error) {
		out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(key)})
		if err != nil {
			return backend.Object{}, s.failure(err).Wrap("stat", key, err)
		}
		return s3rules.Describe(key, header(out.ResultMetadata))
	})
}

// Delete removes the object.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s3rules.Delete(ctx, requests{s}, key, func() error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(key)})
		if err != nil {
			err = s.failure(err).Wrap("delete", key, err)
		}
		return err
	})
}

// Sweep aborts the unfinished multipart uploads to key.
func (s *Store) Sweep(ctx context.Context, key string) error {
	return s3rules.Sweep(ctx, sweeping{s}, s.prefix, key)
}

// ExpireUploads aborts old unfinished multipart uploads to keys that begin with prefix.
func (s *Store) ExpireUploads(ctx context.Context, prefix string, before time.Time) (int, error) {
	return s3rules.ExpireUploads(ctx, sweeping{s}, s.prefix, prefix, before)
}

// failure returns the store's response from the SDK's error.
func (s *Store) failure(err error) s3rules.Failure {
	f := s3rules.Failure{Bucket: s.bucket, Prefix: s.prefix, Denials: &s.Denials}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		f.Code, f.Message = api.ErrorCode(), api.ErrorMessage()
	}
	if resp, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		f.Status = resp.HTTPStatusCode()
	}
	return f
}
