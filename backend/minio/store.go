// Package minio implements the object store in a bucket of MinIO or another S3-compatible store, with minio-go. It needs
// less configuration than package s3 and adds less code to the program.
//
// It uses minio-go's low-level calls, since the high-level ones drop conditions of large objects, and buffer them.
package minio

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Config locates the bucket.
type Config struct {
	Endpoint    string // host[:port]
	Insecure    bool   // plain HTTP
	Bucket      string
	Prefix      string // path within the bucket, at most 100 bytes; empty: the whole bucket
	Region      string // empty: from the endpoint's name, or us-east-1
	Credentials *credentials.Credentials
	// CredentialsLeft is how long temporary credentials must remain valid when they are used, if the source issues such.
	CredentialsLeft time.Duration
	// Lookup selects whether the bucket's name goes into the path or into the host. By default it goes into the path, except
	// for the endpoints of some clouds.
	Lookup minio.BucketLookupType

	// PublicEndpoint is the URL at which clients reach the store, for presigned URLs. Empty: Endpoint.
	PublicEndpoint string
	// PartSize is the maximum size of one request in bytes; larger objects are sent in parts. 0: 5 GiB, S3's limit.
	PartSize int64
	// Idle is how long to keep an idle connection. 0: a minute.
	Idle time.Duration
	// RootCAs are the trusted certificate authorities. nil: the system's.
	RootCAs *x509.CertPool
	// Transport wraps minio-go's transport, if set.
	Transport func(http.RoundTripper) http.RoundTripper
	// Stall bounds how long a request may wait for the store without progress. 0: 20 s. Copying and completing an upload may
	// take 6 times as long.
	Stall time.Duration
}

// Store is a bucket or a part of one. It implements backend.Store and all optional abilities. ETags keep the quotes of
// S3's headers, so that they equal those of package s3 for the same bucket.
type Store struct {
	client    minio.Core
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
func Open(c Config) (*Store, error) {
	s, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s at %s: %w", c.Bucket, c.Endpoint, err)
	}
	return s, nil
}

func open(c Config) (*Store, error) {
	prefix, err := s3rules.Prefix(c.Prefix)
	if err != nil {
		return nil, err
	}
	base, err := newTransport(c)
	if err != nil {
		return nil, err
	}
	endpoint := url.URL{Scheme: "https", Host: c.Endpoint}
	if c.Insecure {
		endpoint.Scheme = "http"
	}
	// Without a region minio-go would ask the store for it before the first call.
	c.Region = cmp.Or(c.Region, s3utils.GetRegionFromURL(endpoint), "us-east-1")
	from := keep(c.Credentials, &http.Client{Transport: base}, endpoint.String(), c.CredentialsLeft)
	client, err := minio.New(c.Endpoint, &minio.Options{
		Creds: credentials.New(provider{from}), Secure: !c.Insecure, Region: c.Region,
		Transport:    around(base, c, from),
		BucketLookup: c.Lookup,
		MaxRetries:   1, // package s3rules retries
	})
	if err != nil {
		return nil, err
	}
	presigner, err := newPresigner(c, cmp.Or(c.PublicEndpoint, endpoint.String()), prefix, from)
	if err != nil {
		return nil, err
	}
	return &Store{
		client: minio.Core{Client: client}, bucket: c.Bucket, prefix: prefix, presigner: presigner,
		partSize: cmp.Or(c.PartSize, s3rules.MaxPart),
	}, nil
}

// Stat describes the object. If the bucket is missing, the error is backend.ErrNotFound, except for MinIO itself.
func (s *Store) Stat(ctx context.Context, key string) (backend.Object, error) {
	if err := backend.CheckKey(key); err != nil {
		return backend.Object{}, err
	}
	return s3rules.Retry(ctx, func() (backend.Object, error) {
		ctx, resp := recordResponse(ctx)
		if _, err := s.client.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{}); err != nil {
			return backend.Object{}, s.failure(err).Wrap("stat", key, err)
		}
		return s3rules.Describe(key, resp.header())
	})
}

// Delete removes the object.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s3rules.Delete(ctx, requests{s}, key, func() error {
		err := s.client.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
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

// failure returns the store's response from minio-go's error.
func (s *Store) failure(err error) s3rules.Failure {
	resp, _ := errors.AsType[minio.ErrorResponse](err)
	return s3rules.Failure{
		Status: resp.StatusCode, Code: resp.Code, Message: resp.Message,
		Bucket: s.bucket, Prefix: s.prefix, Denials: &s.Denials,
	}
}
