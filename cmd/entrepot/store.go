package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	miniogo "github.com/minio/minio-go/v7"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/backend/minio"
	"github.com/entrepot-io/entrepot/backend/s3"
)

// storeURL is the value of ENTREPOT_STORE.
type storeURL struct {
	text           string
	scheme         string // schemeFile, schemeS3, schemeMinIO or schemeMinIOHTTP
	path           string // file
	host           string // minio
	bucket, prefix string // s3 and minio
}

// Schemes of store URLs.
const (
	schemeFile      = "file"
	schemeS3        = "s3"
	schemeMinIO     = "minio"
	schemeMinIOHTTP = "minio+http" // without TLS
)

func (s storeURL) String() string { return s.text }

// isFolder reports whether the store is a folder and not a bucket.
func (s storeURL) isFolder() bool { return s.scheme == schemeFile }

// UnmarshalText parses file:PATH, s3://BUCKET[/PREFIX] or minio[+http]://HOST[:PORT]/BUCKET[/PREFIX].
func (s *storeURL) UnmarshalText(text []byte) error {
	*s = storeURL{text: string(text)}
	scheme, rest, _ := strings.Cut(s.text, ":")
	s.scheme = scheme
	rest, isURL := strings.CutPrefix(rest, "//")
	switch scheme {
	case schemeFile:
		if isURL {
			rest = "//" + rest
		}
		if s.path = rest; rest == "" {
			return errors.New("names no folder; write for example file:/var/lib/entrepot")
		}
		return nil
	case schemeS3:
		s.bucket, s.prefix, _ = strings.Cut(rest, "/")
	case schemeMinIO, schemeMinIOHTTP:
		s.host, rest, _ = strings.Cut(rest, "/")
		s.bucket, s.prefix, _ = strings.Cut(rest, "/")
		if _, err := url.Parse("https://" + s.host); err != nil || s.host == "" {
			return fmt.Errorf("%q is not a host; write for example minio://minio.example.com:9000/bucket", s.host)
		}
	default:
		return errors.New("unknown kind of store; write file:PATH, s3://BUCKET[/PREFIX], minio://HOST[:PORT]/BUCKET[/PREFIX], or minio+http:// for one without TLS")
	}
	if !isURL || s.bucket == "" {
		return errors.New("names no bucket; write for example s3://my-bucket or minio://minio.example.com:9000/my-bucket")
	}
	s.prefix = strings.Trim(s.prefix, "/")
	return nil
}

// openStore returns the configured store. It sends no requests to a bucket, which may be unreachable now and back when it
// is needed.
func (c config) openStore(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper, log *slog.Logger) (backend.Store, error) {
	switch {
	case c.Store.isFolder():
		store, err := fs.Open(c.Store.path)
		if err != nil {
			return nil, wrong("ENTREPOT_STORE", "%q: cannot use the folder: %w; name a writable folder", c.Store, err)
		}
		return store, nil
	case c.Store.scheme == schemeS3:
		return c.openS3(ctx, wrap, log)
	default:
		return c.openMinIO(wrap)
	}
}

func (c config) openS3(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper, log *slog.Logger) (backend.Store, error) {
	cfg, endpoint, err := c.awsConfig(ctx, log)
	if err != nil {
		return nil, wrong("ENTREPOT_STORE", "%q: %w", c.Store, err)
	}
	cfg.Credentials = s3Credentials(cfg.Credentials)
	store, err := s3.Open(ctx, s3.Config{
		AWS: cfg, Bucket: c.Store.bucket, Prefix: c.Store.prefix,
		// Stores other than AWS rarely have a DNS name for each bucket.
		PathStyle:       c.StoreStyle == "path" || c.StoreStyle == "auto" && endpoint != "",
		CredentialsLeft: c.PresignMinLeft,
		PublicEndpoint:  c.StorePublicEndpoint.String(),
		Transport:       wrap,
	})
	if err != nil {
		return nil, wrong("ENTREPOT_STORE", "%q: %w", c.Store, err)
	}
	return store, nil
}

func (c config) openMinIO(wrap func(http.RoundTripper) http.RoundTripper) (backend.Store, error) {
	endpoint := url.URL{Scheme: "https", Host: c.Store.host}
	if c.Store.scheme == schemeMinIOHTTP {
		endpoint.Scheme = "http"
	}
	source, err := minioCredentials(endpoint.String())
	if err != nil {
		return nil, wrong("ENTREPOT_STORE", "%q: %w", c.Store, err)
	}
	authorities, err := caBundle()
	if err != nil {
		return nil, err
	}
	store, err := minio.Open(minio.Config{
		Endpoint: c.Store.host, Insecure: endpoint.Scheme == "http",
		Bucket: c.Store.bucket, Prefix: c.Store.prefix,
		Region:          cmp.Or(os.Getenv("AWS_REGION"), "us-east-1"),
		Lookup:          c.StoreStyle.lookup(),
		Credentials:     source,
		CredentialsLeft: c.PresignMinLeft,
		PublicEndpoint:  c.StorePublicEndpoint.String(),
		Idle:            c.platform.idleTimeout(),
		RootCAs:         authorities,
		Transport:       wrap,
	})
	if err != nil {
		return nil, wrong("ENTREPOT_STORE", "%q: %w", c.Store, err)
	}
	return store, nil
}

// caBundle returns the system's certificate authorities plus those in AWS_CA_BUNDLE, or nil if that is not set. The AWS
// library reads the variable itself.
func caBundle() (*x509.CertPool, error) {
	const variable = "AWS_CA_BUNDLE"
	path := os.Getenv(variable)
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, wrong(variable, "%w; name a file of certificates in PEM", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, wrong(variable, "no certificates in %q; name a file of certificates in PEM", path)
	}
	return pool, nil
}

// bucketStyle is the position of the bucket's name in URLs: path, host or auto.
type bucketStyle string

func (b *bucketStyle) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "path", "host", "auto":
		*b = bucketStyle(s)
		return nil
	}
	return errors.New("write path, host or auto")
}

func (b bucketStyle) lookup() miniogo.BucketLookupType {
	switch b {
	case "path":
		return miniogo.BucketLookupPath
	case "host":
		return miniogo.BucketLookupDNS
	}
	return miniogo.BucketLookupAuto
}
