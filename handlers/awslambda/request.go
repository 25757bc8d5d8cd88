package awslambda

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// httpRequest is the HTTP request in an event, without its body, which the pull API never reads.
type httpRequest struct {
	method    string
	path      string // as the client sent it, unless unescaped is set
	unescaped bool   // the service has unescaped the path
	query     string // as the client sent it
	header    http.Header
	peer      string // the client's address; empty if unknown
}

// build converts r to a request for a handler.
func (r httpRequest) build(ctx context.Context) (*http.Request, error) {
	u := &url.URL{Scheme: "https", Host: r.header.Get("Host"), Path: r.path, RawQuery: r.query}
	if !r.unescaped {
		path, err := url.PathUnescape(r.path)
		if err != nil {
			return nil, fmt.Errorf("parse path: %w", err)
		}
		u.Path, u.RawPath = path, r.path
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "/", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.URL, req.Host, req.Header = u, u.Host, r.header
	req.RequestURI = u.RequestURI()
	req.Header.Del("Host") // as http.Server does
	if r.peer != "" {
		req.RemoteAddr = net.JoinHostPort(r.peer, "0") // the port is unknown
	}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		req.Header.Set("X-Amzn-Requestid", lc.AwsRequestID)
	}
	return req, nil
}

// single returns the headers of an event that has one value for each name, perhaps several joined by commas.
func single(headers map[string]string, cookies []string) http.Header {
	h := http.Header{}
	for name, value := range headers {
		h.Set(name, value)
	}
	if len(cookies) > 0 {
		h.Set("Cookie", strings.Join(cookies, "; "))
	}
	return h
}

// multi returns the headers of an event that has one value for each name, or all values, or both.
func multi(one map[string]string, all map[string][]string) http.Header {
	h := single(one, nil)
	for name, values := range all {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// pairs returns the query of an event that has one value for each name, or all values, or both.
func pairs(one map[string]string, all map[string][]string) url.Values {
	q := url.Values{}
	for name, value := range one {
		q.Set(name, value)
	}
	for name, values := range all {
		q[name] = values
	}
	return q
}
