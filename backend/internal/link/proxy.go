package link

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// ProxyError is the refusal of a proxy to connect to the store. The error of net/http is only the status, as if the store
// had sent it.
type ProxyError struct {
	Proxy  string // host:port
	Target string
	Status string
	Code   int
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s refused to connect to %s: %s", e.Proxy, e.Target, e.Status)
}

func refusedByProxy(_ context.Context, proxy *url.URL, connect *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Target: connect.Host, Status: resp.Status, Code: resp.StatusCode}
}
