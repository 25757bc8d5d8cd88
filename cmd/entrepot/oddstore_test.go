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

// oddity is what a store does in a way of its own.
type oddity struct {
	concerns func(*http.Request) bool
	answer   func(server *testenv.S3, next http.Handler) http.Handler
	met      atomic.Int64 // requests that it concerned
}

func conditional(r *http.Request) bool {
	return r.Method == http.MethodPut && r.Header.Get("If-None-Match")+r.Header.Get("If-Match") != ""
}

func copying(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }

// behindProxy puts a proxy before the world's store that has oddities, all of which have to be met, and returns the name
// of the store behind it.
func behindProxy(t *testing.T, w *fillWorld, oddities ...*oddity) string {
	t.Helper()
	server := sharedMinIO(t)
	forward := backendtest.Proxy(t, server.Endpoint, func(*http.Request) {})
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, o := range oddities {
			if o.concerns(r) {
				o.met.Add(1)
				o.answer(server, forward).ServeHTTP(rw, r)
				return
			}
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		proxy.Close()
		for i, o := range oddities {
			assert.Positive(t, o.met.Load(), "requests that oddity %d concerns", i)
		}
	})
	return fmt.Sprintf("minio+%s/%s", proxy.URL, w.bucket.name)
}

// ignoring is like GCS and Garage. The conditions are signed, so the request has to be signed anew without them.
func ignoring(server *testenv.S3, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		plain := r.Clone(r.Context())
		for _, name := range []string{"If-None-Match", "If-Match", "Authorization"} {
			plain.Header.Del(name)
		}
		plain.URL.Host = r.Host // what the signature is for
		next.ServeHTTP(rw, signer.SignV4(*plain, server.AccessKey, server.SecretKey, "", server.Region))
	})
}

// refusing is like Backblaze B2.
func refusing(*testenv.S3, http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/xml")
		rw.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(rw, "<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented.</Message></Error>")
	})
}
