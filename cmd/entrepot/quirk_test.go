package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"
	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

// quirk is a deviation from S3 in a store's responses to some requests.
type quirk struct {
	matches func(*http.Request) bool
	respond func(server *testenv.S3, next http.Handler) http.Handler
	met     atomic.Int64 // matching requests
}

func conditional(r *http.Request) bool {
	return r.Method == http.MethodPut && r.Header.Get("If-None-Match")+r.Header.Get("If-Match") != ""
}

func copying(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }

// behindProxy puts a proxy with quirks in front of the cluster's store and returns the store's URL. Each quirk must match
// some requests.
func behindProxy(t *testing.T, w *cluster, quirks ...*quirk) string {
	t.Helper()
	server := sharedMinIO(t)
	forward := backendtest.Proxy(t, server.Endpoint, func(*http.Request) {})
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, o := range quirks {
			if o.matches(r) {
				o.met.Add(1)
				o.respond(server, forward).ServeHTTP(rw, r)
				return
			}
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		proxy.Close()
		for i, o := range quirks {
			assert.Positive(t, o.met.Load(), "requests matched by quirk %d", i)
		}
	})
	return fmt.Sprintf("minio+%s/%s", proxy.URL, w.bucket.name)
}

// ignoring ignores conditions, as GCS and Garage do. The signature covers the conditions, so the request is signed again
// without them.
func ignoring(server *testenv.S3, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		plain := r.Clone(r.Context())
		for _, name := range []string{"If-None-Match", "If-Match", "Authorization"} {
			plain.Header.Del(name)
		}
		plain.URL.Host = r.Host // the signature covers it
		next.ServeHTTP(rw, signer.SignV4(*plain, server.AccessKey, server.SecretKey, "", server.Region))
	})
}

// refusing rejects requests as not implemented, as Backblaze B2 does.
func refusing(*testenv.S3, http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/xml")
		rw.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(rw, "<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented.</Message></Error>")
	})
}
