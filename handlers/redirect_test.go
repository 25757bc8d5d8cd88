package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// fixedURL is a presigner whose URLs are the key behind a prefix.
type fixedURL string

func (u fixedURL) Signer(context.Context, time.Time) (backend.Signer, error) { return u, nil }

func (u fixedURL) Host() string { return strings.Split(string(u), "/")[2] }

func (u fixedURL) PresignGet(key string, signedAt time.Time, expires time.Duration) (string, time.Time, error) {
	return string(u) + key, signedAt.Add(expires), nil
}

func TestStoredBlobRedirectsClientsThatFollow(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 10_000))
	path := "/v2/app/blobs/" + d.String()
	for policy, want := range map[string]int{
		"":                        http.StatusTemporaryRedirect,
		"always":                  http.StatusTemporaryRedirect,
		"127.0.0.0/8":             http.StatusTemporaryRedirect,
		"10.0.0.0/8, 127.0.0.1":   http.StatusTemporaryRedirect,
		"10.0.0.0/8":              http.StatusOK,
		"never":                   http.StatusOK,
		"fd00::/8,192.168.0.0/16": http.StatusOK,
	} {
		f := serve(t, reg, signing{newFileStore(t), fixedURL("http://bucket.example/")}, policy)
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Times: 1, BytesPerSecond: 100_000}) // so that the blob is not stored at once
		first := f.get(t, path)
		assert.Equal(t, http.StatusOK, first.StatusCode, "a blob in transit is streamed")
		assert.Equal(t, d, digest.FromBytes(first.body))
		require.Eventually(t, func() bool { return f.core.FillCount() == 0 }, 10*time.Second, time.Millisecond)

		a := f.get(t, path)
		assert.Equal(t, want, a.StatusCode, policy)
		assert.Equal(t, d.String(), a.Header.Get("Docker-Content-Digest"))
		if want == http.StatusOK {
			assert.Equal(t, d, digest.FromBytes(a.body))
		} else {
			assert.Equal(t, "http://bucket.example/public/blobs/sha256/"+d.Encoded(), a.Header.Get("Location"))
		}
		head := f.do(t, http.MethodHead, path)
		assert.Equal(t, http.StatusOK, head.StatusCode, "a URL signed for GET is not valid for HEAD")
		assert.EqualValues(t, 10_000, head.ContentLength)
	}
}

func TestInvalidRedirectPoliciesRejected(t *testing.T) {
	for _, s := range []string{"sometimes", "10.0.0.0/33", "10.0.0.0/8,", "10.0.0.0/8;fd00::/8"} {
		assert.ErrorContains(t, new(handlers.Redirect).UnmarshalText([]byte(s)), "write always, never, or a list", s)
	}
}

func TestInvalidClientsRejected(t *testing.T) {
	for _, s := range []string{"10.0.0.0/33", "10.0.0.0/8,", ",", "kaniko,1.2.3"} {
		assert.ErrorContains(t, new(handlers.Clients).UnmarshalText([]byte(s)), "write", s)
	}
}

func TestInnerAndNestedBucketHosts(t *testing.T) {
	for host, inner := range map[string]bool{
		"10.1.2.3": true, "127.0.0.1": true, "192.168.1.1": true, "fd00::1": true, "fe80::1%eth0": true, "::ffff:10.0.0.1": true,
		"0.0.0.0": true, "93.184.215.14": false, "2606:2800::1": false, "minio": false, "localhost": false, "10.example.com": false, "": false,
	} {
		assert.Equal(t, inner, handlers.NewBucketHost(host).Inner(), host)
	}
	for _, test := range []struct {
		bucket, mirror string
		under          bool
	}{
		{"example.com", "example.com", true},
		{"S3.Example.com", "example.COM", true},
		{"images.s3.example.com", "example.com", true},
		{"badexample.com", "example.com", false},
		{"example.com", "mirror.example.com", false},
		{"s3.example.com", "mirror.example.com", false},
		{"10.0.0.1", "10.0.0.1", true},
	} {
		assert.Equal(t, test.under, handlers.NewBucketHost(test.bucket).Under(test.mirror), "%+v", test)
	}
}
