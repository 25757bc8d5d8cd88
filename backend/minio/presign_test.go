package minio_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/minio"
)

// minio-go decides where the bucket's name goes. entrepot relies on these cases.
func TestPresignedURLs(t *testing.T) {
	for want, c := range map[string]minio.Config{
		"http://minio:9000/layers/p/a%3Ab":                            {Endpoint: "minio:9000", Insecure: true},
		"https://minio/layers/p/a%3Ab":                                {Endpoint: "minio"},
		"https://layers.example.com/layers/p/a%3Ab":                   {Endpoint: "minio:9000", Insecure: true, PublicEndpoint: "https://layers.example.com/"},
		"https://layers.s3.dualstack.eu-west-1.amazonaws.com/p/a%3Ab": {Endpoint: "s3.eu-west-1.amazonaws.com"},
	} {
		c.Prefix, c.Bucket = "p", "layers"
		c.Credentials = credentials.NewStaticV4("key", "secret", "token")
		s, err := minio.Open(c)
		require.NoError(t, err)
		signer, err := s.Signer(t.Context(), time.Now())
		require.NoError(t, err)
		signed, _, err := signer.PresignGet("a:b", time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), time.Hour)
		require.NoError(t, err)
		u, err := url.Parse(signed)
		require.NoError(t, err)
		query := u.Query()
		u.RawQuery = ""
		require.Equal(t, want, u.String())
		require.Equal(t, "20261123T120000Z", query.Get("X-Amz-Date"))
		require.Equal(t, "token", query.Get("X-Amz-Security-Token"))
	}
}

func TestNoPresignedURLsWithoutCredentials(t *testing.T) {
	s, err := minio.Open(minio.Config{Endpoint: "minio:9000", Bucket: "layers"})
	require.NoError(t, err)
	_, err = s.Signer(t.Context(), time.Now())
	require.ErrorContains(t, err, "credentials")
}
