package handlers

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// follows reports whether to redirect a client to the bucket. Other clients get bytes.
func (a *API) follows(c echo.Context) bool {
	if a.URLs == nil {
		return false
	}
	r, address := c.Request(), c.RealIP()
	switch {
	case !a.Redirect.to(address), a.StreamTo.include(address, r.UserAgent()):
		return false
	case a.bucket.refusedBy(r):
		return false
	case a.bucket.overhears(r):
		a.overheard.Do(func() {
			a.Log.Warn("streaming to protect client credentials", "host", a.bucket.host, "reason", "the client would send them to the bucket, which has the same host")
		})
		return false
	}
	return true
}

// BucketHost is the host in presigned URLs.
type BucketHost struct {
	host  string
	inner bool // a private address, not a name
}

// NewBucketHost returns the BucketHost for a host name or an address without a port.
func NewBucketHost(host string) BucketHost {
	addr, err := netip.ParseAddr(host)
	addr = addr.WithZone("").Unmap()
	return BucketHost{host, err == nil &&
		(addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified())}
}

// Inner reports whether the host is a private address and not a name. Clients built on go-containerregistry v0.21.6 and
// later refuse redirects from another host to such an address.
func (b BucketHost) Inner() bool { return b.inner }

// refusedBy reports whether the client that sent r refuses to be redirected to the bucket.
func (b BucketHost) refusedBy(r *http.Request) bool {
	return b.inner && strings.Contains(r.UserAgent(), "go-containerregistry") && hostname(r) != b.host
}

// overhears reports whether the bucket would receive the credentials in r. Go clients forward them to the same host on
// another port, and to hosts below it, and S3 answers 400 to a signed URL with other credentials.
func (b BucketHost) overhears(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" && b.Under(hostname(r))
}

// Under reports whether the bucket's host is host or below it.
func (b BucketHost) Under(host string) bool {
	return strings.EqualFold(b.host, host) ||
		len(b.host) > len(host) && strings.EqualFold(b.host[len(b.host)-len(host)-1:], "."+host)
}

// hostname returns the host, without a port, by which the client addresses this mirror.
func hostname(r *http.Request) string { return (&url.URL{Host: r.Host}).Hostname() }
