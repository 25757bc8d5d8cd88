package s3_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

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

func TestMissingPermissionIsNamed(t *testing.T) {
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
	// versitygw responds to an unknown access key with 404.
	onServer(t, testenv.StartVersityGW(t), backend.ErrNotFound)
}

// onServer runs all tests that need a server. unknownKey is the error of Stat for an unknown access key.
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
		c.PublicEndpoint = "http://s3.localhost:" + port // the server serves no buckets below this name
		backendtest.Signs(t, open(t, server, c), "http://"+bucket+".s3.localhost:"+port+"/"+c.Prefix+"/")
	})
	t.Run("prefix", func(t *testing.T) {
		c := config(server)
		whole := c
		whole.Prefix = ""
		backendtest.Prefix(t, open(t, server, whole), open(t, server, c), c.Prefix)
	})
	t.Run("own certificate", func(t *testing.T) { ownCertificate(t, server) })
	t.Run("outage", func(t *testing.T) { // last, since it ends the server
		backendtest.Outage(t, open(t, server, config(server)), server.Stop, func() { server.Restart(t) })
	})
}

// TestStoreBehindFaultyProxies runs on one server only, since it tests how the client handles the proxies' changes. `make
// e2e` repeats it on MinIO.
func TestStoreBehindFaultyProxies(t *testing.T) { behindProxies(t, testenv.StartVersityGW(t)) }

// behindProxies runs all tests that put a proxy between the store and a server.
func behindProxies(t *testing.T, server *testenv.S3) {
	server.CreateBucket(t, bucket)
	testenv.Folder{Server: server, Bucket: bucket, Path: "tests"}.Keep(t)
	at := func(t *testing.T, endpoint string, stall time.Duration) backend.Store {
		c := config(server)
		c.Prefix = fmt.Sprintf("tests/%x", sha256.Sum256([]byte(t.Name())))
		c.AWS.BaseEndpoint = &endpoint
		c.Stall = stall
		return open(t, server, c)
	}
	fresh := func(t *testing.T, endpoint string) backend.Store {
		c := config(server)
		c.AWS.BaseEndpoint = &endpoint
		return open(t, server, c)
	}
	t.Run("wire", func(t *testing.T) { backendtest.Wire(t, server.Endpoint, fresh) })
	t.Run("no copies", func(t *testing.T) { backendtest.NoCopies(t, server.Endpoint, fresh) })
	t.Run("odd copies", func(t *testing.T) { backendtest.OddCopies(t, server.Endpoint, fresh) })
	t.Run("literal conditions", func(t *testing.T) { backendtest.LiteralConditions(t, server.Endpoint, fresh) })
	t.Run("terse", func(t *testing.T) { backendtest.Terse(t, server.Endpoint, fresh) })
	t.Run("busy", func(t *testing.T) { backendtest.Busy(t, server.Endpoint, fresh) })
	t.Run("cut", func(t *testing.T) { backendtest.Cut(t, server.Endpoint, fresh) })
	t.Run("silent", func(t *testing.T) { backendtest.Silent(t, server.Endpoint, at) })
}

func config(server *testenv.S3) s3.Config {
	return s3.Config{
		AWS: aws.Config{
			Region:       server.Region,
			BaseEndpoint: aws.String(server.Endpoint),
			Credentials:  credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
			HTTPClient:   awshttp.NewBuildableClient(),
			// The defaults of config.LoadDefaultConfig.
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		},
		Bucket:    bucket,
		Prefix:    "tests/" + rand.Text(), // a separate store for each test
		PathStyle: true,
		PartSize:  backendtest.PartSize,
	}
}

// inspected is a store with access to what the server keeps.
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

func TestTransientErrors(t *testing.T) {
	backendtest.Transient(t, func(t *testing.T, endpoint string, stall time.Duration) backend.Store {
		server := &testenv.S3{Endpoint: endpoint, Region: "us-east-1", AccessKey: "a", SecretKey: "s"}
		c := config(server)
		c.Stall = stall
		return open(t, server, c)
	})
}

func TestOpenDoesNoIO(t *testing.T) {
	c := config(&testenv.S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKey: "a", SecretKey: "s"})
	c.Transport = func(http.RoundTripper) http.RoundTripper { return nil } // would panic
	_, err := s3.Open(t.Context(), c)
	require.NoError(t, err)
}

func TestOpenRefusesInvalidConfig(t *testing.T) {
	for name, change := range map[string]func(*s3.Config){
		"prefix is not a path":           func(c *s3.Config) { c.Prefix = "a//b" },
		"prefix leads out of the bucket": func(c *s3.Config) { c.Prefix = "../b" },
		"prefix is too long":             func(c *s3.Config) { c.Prefix = strings.Repeat("p", 101) },
		"no region":                      func(c *s3.Config) { c.AWS.Region = "" },
		"no credentials":                 func(c *s3.Config) { c.AWS.Credentials = nil },
		"public endpoint is not a URL":   func(c *s3.Config) { c.PublicEndpoint = "minio:9000" },
		"public endpoint has a query":    func(c *s3.Config) { c.PublicEndpoint = "http://host/?query" },
	} {
		c := config(&testenv.S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKey: "a", SecretKey: "s"})
		change(&c)
		_, err := s3.Open(t.Context(), c)
		require.Error(t, err, name)
	}
}
