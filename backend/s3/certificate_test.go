package s3_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/backend/s3"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

// ownCertificate checks that AWS_CA_BUNDLE works with a wrapped transport, and that streams can be sent over TLS.
func ownCertificate(t *testing.T, server *testenv.S3) {
	tls := httptest.NewTLSServer(backendtest.Proxy(t, server.Endpoint, func(*http.Request) {}))
	t.Cleanup(tls.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	require.NoError(t, os.WriteFile(bundle, cert, 0o600))
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_REGION", server.Region)
	t.Setenv("AWS_ENDPOINT_URL_S3", tls.URL)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")

	put := func() (int64, error) {
		aws, err := awsconfig.LoadDefaultConfig(t.Context())
		require.NoError(t, err)
		var calls atomic.Int64
		c := config(server)
		c.AWS = aws
		c.Transport = func(inner http.RoundTripper) http.RoundTripper { return counting{inner, &calls} }
		s, err := s3.Open(t.Context(), c)
		require.NoError(t, err)
		body := io.MultiReader(bytes.NewReader(make([]byte, 100_000)))
		_, err = s.Put(t.Context(), "dir/tls", body, 100_000, backend.PutOptions{})
		return calls.Load(), err
	}
	_, err := put()
	require.ErrorContains(t, err, "x509")
	t.Setenv("AWS_CA_BUNDLE", bundle)
	calls, err := put()
	require.NoError(t, err)
	require.EqualValues(t, 3, calls)
}

type counting struct {
	http.RoundTripper
	calls *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return c.RoundTripper.RoundTrip(r)
}
