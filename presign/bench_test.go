package presign_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/minio"
	"github.com/entrepot-io/entrepot/backend/s3"
	"github.com/entrepot-io/entrepot/presign"
)

const benchKey = "public/blobs/sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// signers returns stores and CDNs that sign without I/O.
func signers(b *testing.B) map[string]func(presign.Config) *presign.URLs {
	b.Helper()
	onMinIO, err := minio.Open(minio.Config{Endpoint: "minio:9000", Bucket: "images", Credentials: credentials.NewStaticV4("key", "secret", "")})
	require.NoError(b, err)
	onS3, err := s3.Open(b.Context(), s3.Config{Bucket: "images", AWS: aws.Config{
		Region: "eu-central-1", Credentials: awscredentials.NewStaticCredentialsProvider("key", "secret", ""),
	}})
	require.NoError(b, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	_, ecPEM := newECKey(b)
	ecKey, err := presign.ParseCDNKey(ecPEM)
	require.NoError(b, err)
	store := func(s backend.Store) func(presign.Config) *presign.URLs {
		return func(c presign.Config) *presign.URLs { return presign.New(s, c) }
	}
	cdn := func(cdn *presign.CDN) func(presign.Config) *presign.URLs {
		return func(c presign.Config) *presign.URLs { c.CDN = cdn; return presign.New(nil, c) }
	}
	return map[string]func(presign.Config) *presign.URLs{
		"minio":     store(onMinIO),
		"s3":        store(onS3),
		"cdn-rsa":   cdn(presign.NewCDN(parse(b, "https://d111.cloudfront.net"), "", &presign.CDNKey{ID: "K1", Private: rsaKey})),
		"cdn-ecdsa": cdn(presign.NewCDN(parse(b, "https://d111.cloudfront.net"), "", &presign.CDNKey{ID: "K1", Private: ecKey})),
	}
}

func BenchmarkHit(b *testing.B) {
	for name, urls := range signers(b) {
		b.Run(name, func(b *testing.B) {
			urls := urls(presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := urls.Get(b.Context(), benchKey); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for name, urls := range signers(b) {
		b.Run(name, func(b *testing.B) {
			urls := urls(presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if _, err := urls.Get(b.Context(), fmt.Sprint(benchKey, n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
