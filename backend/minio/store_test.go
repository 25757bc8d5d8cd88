package minio_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	miniogo "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/backend/minio"
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
		c.Credentials = credentials.NewStaticV4(v.AccessKeyID, v.SecretAccessKey, v.SessionToken)
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
		c.Credentials = credentials.NewStaticV4(server.AccessKey, "wrong", "")
		backendtest.Denied(t, open(t, server, c), backend.ErrDenied)
	})
	t.Run("unknown access key", func(t *testing.T) {
		c := config(server)
		c.Credentials = credentials.NewStaticV4("unknown", server.SecretKey, "")
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
		inHost := func() minio.Config {
			c := config(server)
			c.Lookup = miniogo.BucketLookupDNS
			c.Endpoint = "localhost:" + port
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
		c.Endpoint = strings.TrimPrefix(endpoint, "http://")
		c.Stall = stall
		return open(t, server, c)
	}
	fresh := func(t *testing.T, endpoint string) backend.Store {
		c := config(server)
		c.Endpoint = strings.TrimPrefix(endpoint, "http://")
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

func config(server *testenv.S3) minio.Config {
	return minio.Config{
		Endpoint:    server.Addr,
		Insecure:    true,
		Bucket:      bucket,
		Prefix:      "tests/" + rand.Text(), // a separate store for each test
		Region:      server.Region,
		Credentials: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""),
		PartSize:    backendtest.PartSize,
	}
}

// inspected is a store with access to what the server keeps.
type inspected struct {
	*minio.Store
	testenv.Folder
}

func open(t testing.TB, server *testenv.S3, c minio.Config) inspected {
	t.Helper()
	s, err := minio.Open(c)
	require.NoError(t, err)
	return inspected{s, testenv.Folder{Server: server, Bucket: bucket, Path: c.Prefix}}
}

func TestTransientErrors(t *testing.T) {
	backendtest.Transient(t, func(t *testing.T, endpoint string, stall time.Duration) backend.Store {
		server := &testenv.S3{Addr: strings.TrimPrefix(endpoint, "http://"), Region: "us-east-1", AccessKey: "a", SecretKey: "s"}
		c := config(server)
		c.Stall = stall
		return open(t, server, c)
	})
}

func TestOpenDoesNoIO(t *testing.T) {
	c := config(&testenv.S3{Addr: "127.0.0.1:1"})
	c.Region = ""
	c.PublicEndpoint = "https://bucket.example.com"
	c.Transport = func(http.RoundTripper) http.RoundTripper { return nil } // would panic
	_, err := minio.Open(c)
	require.NoError(t, err)
}

func TestOpenRefusesInvalidConfig(t *testing.T) {
	for name, change := range map[string]func(*minio.Config){
		"prefix is not a path":           func(c *minio.Config) { c.Prefix = "a//b" },
		"prefix leads out of the bucket": func(c *minio.Config) { c.Prefix = "../b" },
		"prefix is too long":             func(c *minio.Config) { c.Prefix = strings.Repeat("p", 101) },
		"no endpoint":                    func(c *minio.Config) { c.Endpoint = "" },
		"endpoint is a URL":              func(c *minio.Config) { c.Endpoint = "http://minio:9000" },
		"no bucket":                      func(c *minio.Config) { c.Bucket = "" },
		"public endpoint is not a URL":   func(c *minio.Config) { c.PublicEndpoint = "minio:9000" },
		"public endpoint has a path":     func(c *minio.Config) { c.PublicEndpoint = "https://host/path" },
	} {
		c := config(&testenv.S3{Addr: "127.0.0.1:1"})
		change(&c)
		_, err := minio.Open(c)
		require.Error(t, err, name)
	}
}
