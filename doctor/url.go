package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// URLs checks the URLs to which clients are redirected, as a client on this machine uses them.
type URLs struct {
	Backend backend.Store
	Prefix  string // as in Store
	// Get returns a URL for a GET of the object at a key.
	Get func(ctx context.Context, key string) (string, error)
	// Presigner signs URLs of the bucket; nil if clients are redirected to a CDN.
	Presigner backend.Presigner
	Host      string // of all URLs
	Setting   string // the setting that names the host
}

// redirectConsequence is what happens if clients cannot use the URLs.
const redirectConsequence = "clients cannot download stored blobs: pulls fail, or fall back to the registry itself"

// Check returns what works with the URLs, and what does not.
func (u URLs) Check(ctx context.Context) []Finding {
	f := &Findings{Subject: "redirects to " + u.Host}
	key, body := u.Prefix+rand.Text(), "entrepot doctor "+rand.Text()
	err := try(ctx, func(ctx context.Context) error {
		_, err := u.Backend.Put(ctx, key, strings.NewReader(body), int64(len(body)), backend.PutOptions{})
		return err
	})
	if err != nil {
		f.Warn("URL", "not checked: the store takes no object", "unknown", "repair the store, then run doctor again")
		return f.All
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
		defer cancel()
		_ = u.Backend.Delete(ctx, key) // the check of the store reports it
	}()
	address, err := u.Get(ctx, key)
	if err != nil {
		f.Break("URL", err, redirectConsequence, "correct the credentials: they sign the URLs")
		return f.All
	}
	u.checkHost(ctx, f, address)
	if u.checkGet(ctx, f, address, body) {
		u.checkRange(ctx, f, address, body)
		u.checkExpiry(ctx, f, key)
	}
	return f.All
}

// checkHost looks at the URL's scheme and address.
func (u URLs) checkHost(ctx context.Context, f *Findings, address string) {
	parsed, err := url.Parse(address)
	if err != nil {
		f.Break("address", "the store signs an invalid URL", redirectConsequence, "correct "+u.Setting)
		return
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", parsed.Hostname())
	if err != nil {
		f.Break("address", err, redirectConsequence, "correct the host's name in "+u.Setting+", or its DNS record")
		return
	}
	private := 0
	for _, a := range addresses {
		if a = a.Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
			private++
		}
	}
	switch {
	case isLiteral(parsed.Hostname()) && private > 0:
		f.Warn("address", parsed.Hostname()+" is a private address without a name",
			"crane, cosign, ko and kaniko do not follow redirects to it: entrepot streams to them", "name the host, and set that name in "+u.Setting)
	case private > 0:
		f.OK("address", "%s has a private address: only clients on its network reach it", parsed.Hostname())
	case parsed.Scheme == "http":
		f.Warn("address", parsed.Host+" is public and without TLS", "anybody on the way can read images and the URLs, which are valid for a while",
			"serve TLS there, and set the https:// URL in "+u.Setting)
	default:
		f.OK("address", "%s has %d public addresses", parsed.Hostname(), len(addresses))
	}
}

func isLiteral(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// checkGet reports whether a GET works.
func (u URLs) checkGet(ctx context.Context, f *Findings, address, body string) bool {
	resp, err := u.send(ctx, address, "")
	if err != nil {
		remedy := "correct " + u.Setting + ", or open firewalls; if only this machine cannot reach it, ignore this"
		if isCertificateError(err) {
			remedy = "give " + u.Host + " a certificate for its name from an authority that clients know"
		}
		f.Break("GET", err, redirectConsequence, remedy)
		return false
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		f.Break("GET", refusal(resp), redirectConsequence,
			"a proxy in front of the store must pass on Host, path and query unchanged; "+u.Setting+" must be the URL that clients use, without a path")
	case !contains(resp.Body, body):
		f.Break("GET", "the response has other bytes than the object", redirectConsequence, "let "+u.Setting+" name this bucket, and proxies pass on its responses unchanged")
	default:
		f.OK("GET", "200, with the object's bytes")
		return true
	}
	return false
}

// checkRange finds out whether clients can fetch parts.
func (u URLs) checkRange(ctx context.Context, f *Findings, address, body string) {
	const offset = 8
	const consequence = "clients cannot resume a download or fetch a layer in parts"
	const remedy = "let proxies and CDNs in front of the store pass on Range"
	resp, err := u.send(ctx, address, fmt.Sprintf("bytes=%d-", offset))
	if err != nil {
		f.Warn("Range", err, consequence, remedy)
		return
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusPartialContent:
		f.Warn("Range", refusal(resp)+" in place of 206", consequence, remedy)
	case !contains(resp.Body, body[offset:]):
		f.Break("Range", "206, with other bytes than that part of the object", redirectConsequence, remedy)
	default:
		f.OK("Range", "206, with that part's bytes")
	}
}

// checkExpiry finds out whether a URL that has expired is refused.
func (u URLs) checkExpiry(ctx context.Context, f *Findings, key string) {
	if u.Presigner == nil {
		return
	}
	now := time.Now()
	signer, err := u.Presigner.Signer(ctx, now)
	if err != nil {
		f.Break("expiry", err, redirectConsequence, "correct the credentials: they sign the URLs")
		return
	}
	address, _, err := signer.PresignGet(key, now.Add(-10*time.Minute), time.Second)
	if err != nil {
		f.Break("expiry", err, redirectConsequence, "correct the credentials: they sign the URLs")
		return
	}
	resp, err := u.send(ctx, address, "")
	if err != nil {
		f.Warn("expiry", err, "it is not checked", "run doctor again")
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		f.Warn("expiry", fmt.Sprintf("a URL that has expired is answered %d", resp.StatusCode),
			"anyone who has seen a URL can always download the blob", "make the bucket private, and let no cache in front of it answer without asking the store")
		return
	}
	f.OK("expiry", "a URL that has expired is answered %d", resp.StatusCode)
}

// send sends a GET without credentials.
func (URLs) send(ctx context.Context, address, byteRange string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		return nil, cause(err) // without the URL, which is a secret while it is valid
	}
	resp.Body = cancelBody{resp.Body, cancel}
	return resp, nil
}

// cancelBody is a body that ends its request's context when it is closed.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// errorCode matches the code in an error of S3.
var errorCode = regexp.MustCompile(`<Code>(\w+)</Code>`)

// refusal describes a response in place of the expected one.
func refusal(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the status has to do if there is no more
	if code := errorCode.FindSubmatch(text); code != nil {
		return fmt.Sprintf("%d %s", resp.StatusCode, code[1])
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// contains reports whether a response's body has the expected bytes.
func contains(body io.Reader, want string) bool {
	got, err := io.ReadAll(io.LimitReader(body, int64(len(want))+1))
	return err == nil && bytes.Equal(got, []byte(want))
}
