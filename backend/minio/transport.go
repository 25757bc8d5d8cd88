package minio

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/entrepot-io/entrepot/backend/internal/link"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// newTransport returns minio-go's transport with the timeouts of package link and the configured certificate authorities.
func newTransport(c Config) (*http.Transport, error) {
	t, err := minio.DefaultTransport(!c.Insecure)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	link.Dial(dialer)
	t.DialContext = dialer.DialContext
	link.Tune(t)
	if c.Idle > 0 {
		t.IdleConnTimeout = c.Idle
	}
	if c.RootCAs != nil && t.TLSClientConfig != nil {
		t.TLSClientConfig.RootCAs = c.RootCAs
	}
	return t, nil
}

// around returns the transport for minio-go.
func around(base *http.Transport, c Config, from *s3rules.Credentials) http.RoundTripper {
	var t http.RoundTripper = base
	if c.Transport != nil {
		t = c.Transport(t)
	}
	return recording{literal{next: link.Guard(t, c.Stall), region: c.Region, from: from}}
}

// response keeps the header of the last response to a call. minio-go omits most of it, above all the store's clock.
type response struct{ h atomic.Pointer[http.Header] }

func (r *response) header() http.Header {
	if h := r.h.Load(); h != nil {
		return *h
	}
	return nil
}

type responseKey struct{}

// recordResponse returns a context whose requests record their responses.
func recordResponse(ctx context.Context) (context.Context, *response) {
	r := new(response)
	return context.WithValue(ctx, responseKey{}, r), r
}

type recording struct{ http.RoundTripper }

func (t recording) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if r, ok := req.Context().Value(responseKey{}).(*response); ok && err == nil {
		r.h.Store(&resp.Header)
	}
	return resp, err
}
