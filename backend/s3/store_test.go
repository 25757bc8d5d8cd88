package s3_test

import (
	"crypto/rand"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/backend/s3"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

const bucket = "entrepot-test"

func TestStoreOnMinIO(t *testing.T) { onServer(t, testenv.StartMinIO(t), backend.ErrDenied) }

func TestThePermissionThatIsMissingIsNamed(t *testing.T) {
	server := testenv.StartMinIO(t)
	server.CreateBucket(t, bucket)
	c := config(server)
	backendtest.Permissions(t, open(t, server, c), bucket, c.Prefix+"/", func(t *testing.T, policy string) backend.Store {
		c, v := c, server.Permitted(t, policy)
		c.AWS.Credentials = credentials.NewStaticCredentialsProvider(v.AccessKeyID, v.SecretAccessKey, v.SessionToken)
		return open(t, server, c)
	})
}

func TestStoreOnVersityGW(t *testing.T) {
	// It answers an unknown access key with 404.
	onServer(t, testenv.StartVersityGW(t), backend.ErrNotFound)
}

// onServer runs all that needs a server. unknownKey is what Stat says to an unknown access key.
func onServer(t *testing.T, server *testenv.S3, unknownKey error) {
	server.CreateBucket(t, bucket)
	testenv.Folder{Server: server, Bucket: bucket, Path: "tests"}.Keep(t)
	backendtest.Run(t, func(t *testing.T) backend.Store { return open(t, server, config(server)) })
	t.Run("missing bucket", func(t *testing.T) {
		c := config(server)
		c.Bucket = "not-there"
		backendtest.Missing(t, open(t, server, c))
	})
	t.Run("wrong secret", func(t *testing.T) {
		c := config(server)
		c.AWS.Credentials = credentials.NewStaticCredentialsProvider(server.AccessKey, "wrong", "")
		backendtest.Denied(t, open(t, server, c), backend.ErrDenied)
	})
	t.Run("unknown access key", func(t *testing.T) {
		c := config(server)
		c.AWS.Credentials = credentials.NewStaticCredentialsProvider("unknown", server.SecretKey, "")
		backendtest.Denied(t, open(t, server, c), unknownKey)
	})
	t.Run("public endpoint", func(t *testing.T) {
		c := config(server)
		c.PublicEndpoint = strings.Replace(server.Endpoint, "127.0.0.1", "localhost", 1)
		backendtest.Public(t, open(t, server, c), c.PublicEndpoint+"/"+bucket+"/"+c.Prefix+"/")
	})
	t.Run("bucket in the host", func(t *testing.T) {
		_, port, err := net.SplitHostPort(server.Addr)
		require.NoError(t, err)
		inHost := func() s3.Config {
			c := config(server)
			c.PathStyle = false
			c.AWS.BaseEndpoint = aws.String("http://localhost:" + port)
			c.Transport = backendtest.Localhost
			return c
		}
		c := inHost()
		backendtest.Public(t, open(t, server, c), "http://"+bucket+".localhost:"+port+"/"+c.Prefix+"/")
		c = inHost()
		c.PublicEndpoint = "http://s3.localhost:" + port // a name that the server does not know buckets below
		backendtest.Signs(t, open(t, server, c), "http://"+bucket+".s3.localhost:"+port+"/"+c.Prefix+"/")
	})
	t.Run("prefix", func(t *testing.T) {
		c := config(server)
		whole := c
		whole.Prefix = ""
		backendtest.Prefix(t, open(t, server, whole), open(t, server, c), c.Prefix)
	})
	at := func(t *testing.T) func(endpoint string) backend.Store {
		return func(endpoint string) backend.Store {
			c := config(server)
			c.AWS.BaseEndpoint = &endpoint
			return open(t, server, c)
		}
	}
	t.Run("wire", func(t *testing.T) { backendtest.Wire(t, server.Endpoint, at(t)) })
	t.Run("no copies", func(t *testing.T) { backendtest.NoCopies(t, server.Endpoint, at(t)) })
	t.Run("own certificate", func(t *testing.T) { ownCertificate(t, server) })
	t.Run("outage", func(t *testing.T) { // the last: the server ends with it
		backendtest.Outage(t, open(t, server, config(server)), server.Stop, func() { server.Restart(t) })
	})
}

func config(server *testenv.S3) s3.Config {
	return s3.Config{
		AWS: aws.Config{
			Region:       server.Region,
			BaseEndpoint: aws.String(server.Endpoint),
			Credentials:  credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
			HTTPClient:   awshttp.NewBuildableClient(),
			// As config.LoadDefaultConfig sets them.
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		},
		Bucket:    bucket,
		Prefix:    "tests/" + rand.Text(), // so that each test has a store of its own
		PathStyle: true,
		PartSize:  backendtest.PartSize,
	}
}

// inspected is a store that can be looked into.
type inspected struct {
	*s3.Store
	testenv.Folder
}

func open(t testing.TB, server *testenv.S3, c s3.Config) inspected {
	t.Helper()
	s, err := s3.Open(t.Context(), c)
	require.NoError(t, err)
	return inspected{s, testenv.Folder{Server: server, Bucket: bucket, Path: c.Prefix}}
}

func TestOpenDoesNoIO(t *testing.T) {
	c := config(&testenv.S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKey: "a", SecretKey: "s"})
	c.Transport = func(http.RoundTripper) http.RoundTripper { return nil } // would panic
	_, err := s3.Open(t.Context(), c)
	require.NoError(t, err)
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*s3.Config){
		"a prefix that is no path":     func(c *s3.Config) { c.Prefix = "a//b" },
		"a prefix that leads out":      func(c *s3.Config) { c.Prefix = "../b" },
		"a prefix that is too long":    func(c *s3.Config) { c.Prefix = strings.Repeat("p", 101) },
		"no region":                    func(c *s3.Config) { c.AWS.Region = "" },
		"no credentials":               func(c *s3.Config) { c.AWS.Credentials = nil },
		"a public endpoint, no URL":    func(c *s3.Config) { c.PublicEndpoint = "minio:9000" },
		"a public endpoint with query": func(c *s3.Config) { c.PublicEndpoint = "http://host/?query" },
	} {
		c := config(&testenv.S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKey: "a", SecretKey: "s"})
		change(&c)
		_, err := s3.Open(t.Context(), c)
		require.Error(t, err, name)
	}
}
