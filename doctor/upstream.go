package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	// dialTimeout limits the lookup of a name, a connection and a TLS handshake.
	dialTimeout = 5 * time.Second
	// upstreamTimeout limits one request to an upstream.
	upstreamTimeout = 15 * time.Second
	// certificateLeft is the remaining lifetime of a certificate below which there is a warning.
	certificateLeft = 3 * 24 * time.Hour
)

// Upstream checks one endpoint of an upstream.
type Upstream struct {
	Name     string             // the subject of the findings
	Registry *upstream.Registry // with this endpoint alone
	Endpoint *url.URL
	Others   bool    // the upstream has other endpoints too
	Image    *Image  // nil: none is known
	Reserve  float64 // share of a pull quota below which it is scarce
}

// upstreamCheck is the state of the checks of one endpoint.
type upstreamCheck struct {
	Upstream
	Findings
}

// Check returns what works at the endpoint, and what does not.
func (u Upstream) Check(ctx context.Context) []Finding {
	c := &upstreamCheck{u, Findings{Subject: u.Name}}
	if c.connect(ctx) && c.head(ctx) {
		c.quota()
		c.byteRange(ctx)
	}
	return c.All
}

// fail records a defect of the endpoint, which is less if there are others.
func (c *upstreamCheck) fail(check string, problem any, remedy string) {
	if c.Others {
		c.Warn(check, problem, "entrepot uses the other endpoints, after some delay", remedy)
		return
	}
	c.Break(check, problem, "only cached content of this upstream is served, and its tags are stale", remedy)
}

// connect reports whether requests can reach the endpoint.
func (c *upstreamCheck) connect(ctx context.Context) bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: c.Endpoint})
	if err != nil { // it may contain a password
		c.fail("HTTP proxy", "the proxy's URL is invalid", "correct HTTPS_PROXY, HTTP_PROXY or NO_PROXY")
		return false
	}
	if proxy != nil {
		return c.reachProxy(ctx, proxy) // which looks up the name
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, c.Endpoint.Hostname())
	if err != nil {
		c.fail("DNS", err, "correct the endpoint in ENTREPOT_UPSTREAMS, or this machine's DNS")
		return false
	}
	c.OK("DNS", "%s", strings.Join(addresses, ", "))
	return c.dial(ctx)
}

func (c *upstreamCheck) reachProxy(ctx context.Context, proxy *url.URL) bool {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[proxy.Scheme]
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		c.fail("HTTP proxy", err, "correct HTTPS_PROXY or HTTP_PROXY, or name the upstream in NO_PROXY")
		return false
	}
	conn.Close()
	c.OK("HTTP proxy", "requests go through %s", proxy.Host)
	return true
}

// dial connects to the endpoint and checks its certificate.
func (c *upstreamCheck) dial(ctx context.Context) bool {
	secure := c.Endpoint.Scheme == "https"
	port := c.Endpoint.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[secure]
	}
	address := net.JoinHostPort(c.Endpoint.Hostname(), port)
	if !secure {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			c.fail("connection", err, "start the upstream, or correct its endpoint in ENTREPOT_UPSTREAMS, or open firewalls")
			return false
		}
		conn.Close()
		c.OK("connection", "without TLS")
		return true
	}
	conn, err := new(tls.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		remedy := "start the upstream, or correct its endpoint in ENTREPOT_UPSTREAMS, or open firewalls"
		switch {
		case isCertificateError(err):
			remedy = "name the upstream's certificate authority in SSL_CERT_FILE, or correct the endpoint's name"
		case strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
			remedy = "write http:// in the endpoint in ENTREPOT_UPSTREAMS, or serve TLS there"
		}
		c.fail("TLS", err, remedy)
		return false
	}
	defer conn.Close()
	left := time.Until(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter)
	if left < certificateLeft {
		c.Warn("TLS", fmt.Sprintf("the certificate expires in %s", left.Round(time.Hour)), "the upstream cannot be used then", "renew the upstream's certificate")
		return true
	}
	c.OK("TLS", "the certificate is valid for %d days", int(left.Hours()/24))
	return true
}

// head reports whether a manifest can be asked for. It includes the exchange of a token.
func (c *upstreamCheck) head(ctx context.Context) bool {
	if c.Image == nil {
		c.Warn("HEAD", "no public image is known", "tokens, manifests and ranges are not checked", "name an image of "+c.Registry.Name()+" with --image")
		return false
	}
	repo, ref, err := c.reference()
	if err != nil {
		c.Warn("HEAD", err, "tokens, manifests and ranges are not checked", "name another image of "+c.Registry.Name()+" with --image")
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	found, err := c.Registry.HeadManifest(ctx, repo, ref)
	switch {
	case err != nil && strings.Contains(err.Error(), "token"):
		c.fail("token", err, c.remedy(err))
		return false
	case err != nil:
		c.fail("HEAD", err, c.remedy(err))
		return false
	case found.Digest == "":
		c.Warn("HEAD", fmt.Sprintf("the response to HEAD of %s is no 200 with a digest and a length", c.Image),
			"each revalidation of a tag is a GET, which counts as a pull", "let proxies in front of the upstream pass on HEAD, Docker-Content-Digest and Content-Length")
		return true // a GET decides whether there is more
	}
	c.OK("HEAD", "%s is %s", c.Image, found.Digest)
	return true
}

// remedy returns what to do about an upstream's error.
func (c *upstreamCheck) remedy(err error) string {
	name := c.Registry.Name()
	refused, ok := errors.AsType[*upstream.Error](err)
	switch {
	case strings.Contains(err.Error(), "token"):
		return "correct the credentials of " + name + " (docs/operations.md), or open firewalls to the token service"
	case ok && refused.Status == http.StatusTooManyRequests:
		return "wait, or give entrepot credentials for " + name + " with a larger quota"
	case ok && (refused.Denied() || refused.NotFound()):
		return "correct the credentials of " + name + ", or name an image that exists with --image"
	}
	return "see whether " + name + " is up, and whether a proxy or a firewall is in the way"
}

func (c *upstreamCheck) reference() (upstream.Repository, upstream.Reference, error) {
	repo, err := upstream.ParseRepository(c.Registry.Name(), c.Image.Repository)
	if err != nil {
		return repo, upstream.Reference{}, err
	}
	ref, err := upstream.ParseReference(c.Image.Tag)
	return repo, ref, err
}

// quota reports the pull quota that the endpoint has named, if any.
func (c *upstreamCheck) quota() {
	q := c.Registry.Status()[0].Quota
	if q == nil {
		return
	}
	detail := fmt.Sprintf("%d of %d pulls are left in %s", q.Remaining, q.Limit, q.Window)
	if q.Source != "" {
		detail += " for " + q.Source
	}
	if q.Remaining == 0 || float64(q.Remaining) < c.Reserve*float64(q.Limit) {
		c.Warn("quota", detail, "tags that have moved are served stale, and content that is not cached may be refused",
			"give entrepot credentials of an account with a larger quota, or wait")
		return
	}
	c.OK("quota", "%s", detail)
}

// byteRange finds out whether the endpoint sends parts of blobs. It pulls one or two manifests.
func (c *upstreamCheck) byteRange(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	if q := c.Registry.Status()[0].Quota; q != nil && q.Remaining < 2 {
		return // the quota is worth more than this answer
	}
	blob, size, err := c.blob(ctx)
	if err != nil {
		c.fail("GET", err, c.remedy(err))
		return
	}
	part, err := blob.Open(ctx, size/2, size)
	const consequence = "a transfer that breaks starts again from the beginning, over a single connection"
	const remedy = "let proxies in front of the upstream pass on Range, or name another endpoint in ENTREPOT_UPSTREAMS"
	switch {
	case errors.Is(err, upstream.ErrWrongRange):
		c.Warn("Range", err, consequence, remedy)
		return
	case err != nil:
		c.fail("blob", err, "open firewalls to the storage that the upstream redirects to")
		return
	}
	defer part.Body.Close()
	if !part.Ranged {
		c.Warn("Range", "the upstream ignores ranges of blobs", consequence, remedy)
		return
	}
	c.OK("Range", "a part of a blob was sent")
}

// blob returns a blob of the image, and its size in bytes.
func (c *upstreamCheck) blob(ctx context.Context) (*upstream.Blob, int64, error) {
	repo, ref, err := c.reference()
	if err != nil {
		return nil, 0, err
	}
	for range 3 { // an index may name another
		m, err := c.Registry.GetManifest(ctx, repo, ref)
		if err != nil {
			return nil, 0, err
		}
		doc, err := document.Parse(m.Body)
		if err != nil {
			return nil, 0, err
		}
		for _, b := range doc.Blobs {
			if b.Size > 1 && !b.IsForeign() {
				return c.Registry.Blob(repo, b.Digest), b.Size, nil
			}
		}
		if len(doc.Manifests) == 0 {
			break
		}
		ref = upstream.ByDigest(doc.Manifests[0].Digest)
	}
	return nil, 0, fmt.Errorf("%s has no blob", c.Image)
}
