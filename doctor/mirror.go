package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	userAgent = "entrepot-doctor"
	// mirrorTimeout limits one request to a mirror, which answers within 20 s.
	mirrorTimeout = 25 * time.Second
	// maxText limits the text of a response that a finding repeats, in bytes.
	maxText = 300
)

// Mirror checks a mirror as a client does.
type Mirror struct {
	URL       *url.URL
	Upstreams []string // the first is the default
	Images    Images
	// Query returns the query with which the client asks for an upstream, and Prefix the beginning of repositories' names.
	Query  func(upstream string) url.Values
	Prefix func(upstream string) string
}

// Check returns what is wrong with the mirror, and what works.
func (m Mirror) Check(ctx context.Context) []Finding {
	f := &Findings{Subject: m.URL.String()}
	if m.checkAPI(ctx, f) {
		m.checkReady(ctx, f)
		for _, name := range m.Upstreams {
			m.checkUpstream(ctx, f, name)
		}
	}
	return f.All
}

// checkAPI reports whether the mirror answers at all.
func (m Mirror) checkAPI(ctx context.Context, f *Findings) bool {
	const consequence = "clients do not use the mirror; they pull from the registries themselves, or fail"
	got, err := m.ask(ctx, http.MethodGet, "/v2/", nil)
	switch {
	case err != nil:
		f.Break("API", err, consequence, m.reachRemedy(err))
	case got.status == http.StatusOK || got.status == http.StatusUnauthorized:
		f.OK("API", "GET /v2/ answers %d", got.status)
		return true
	case got.status == http.StatusBadRequest && strings.Contains(got.text, "HTTP request to an HTTPS server"):
		f.Break("API", "the server expects TLS", consequence, "write https:// in the mirror's URL")
	default:
		f.Break("API", fmt.Sprintf("GET /v2/ answers %d: %s", got.status, got.text), consequence,
			"find out what answers at this address: /v2/ of entrepot answers 200")
	}
	return false
}

// reachRemedy returns what to do about a mirror that cannot be reached.
func (m Mirror) reachRemedy(err error) string {
	switch {
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "write http:// in the mirror's URL, or serve TLS there"
	case isCertificateError(err):
		return "give the mirror's host a certificate for this name from an authority that its clients know, or add the authority to each client"
	}
	return "start entrepot, and check the name, the port and firewalls between here and there"
}

func (m Mirror) checkReady(ctx context.Context, f *Findings) {
	got, err := m.ask(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		f.Warn("readiness", err, "load balancers may take the mirror out of service", "run entrepot doctor where the mirror runs")
		return
	}
	switch {
	case got.status == http.StatusServiceUnavailable:
		f.Break("readiness", got.text, "the mirror cannot use its bucket, and clients pull from the registries themselves, or fail",
			"run entrepot doctor with the mirror's settings")
	case got.status == http.StatusOK && strings.HasPrefix(got.text, "ready, but "):
		f.Warn("readiness", got.text, "the mirror works, but saves less", "run entrepot doctor with the mirror's settings")
	case got.status == http.StatusOK && strings.HasPrefix(got.text, "ready"):
		f.OK("readiness", "%s", got.text)
	}
	// Otherwise something between here and the mirror serves the pull API only.
}

// acceptManifests is what clients accept.
const acceptManifests = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*"

// checkUpstream resolves a tag of an upstream.
func (m Mirror) checkUpstream(ctx context.Context, f *Findings, name string) {
	check := "resolve from " + name
	image, ok := m.Images[name]
	if !ok {
		f.Warn(check, "no public image is known", "it is not checked", "name one of its images with --image")
		return
	}
	got, err := m.ask(ctx, http.MethodHead, "/v2/"+m.Prefix(name)+image.Repository+"/manifests/"+image.Tag, m.Query(name))
	const consequence = "clients pull from the registry itself, or fail"
	switch {
	case err != nil:
		f.Break(check, err, consequence, "run entrepot doctor with the mirror's settings")
	case got.status == http.StatusNotFound:
		f.Break(check, fmt.Sprintf("HEAD of %s answers 404: the mirror does not have this registry among its upstreams, or the registry does not have the image", image),
			consequence, "add "+name+" to ENTREPOT_UPSTREAMS of the mirror, or name another image with --image")
	case got.status == http.StatusUnauthorized || got.status == http.StatusForbidden:
		f.Break(check, fmt.Sprintf("HEAD of %s answers %d", image, got.status), consequence,
			"name an image with --image that may be pulled without credentials, or give the mirror credentials for "+name)
	case got.status != http.StatusOK:
		f.Break(check, strings.TrimSpace(fmt.Sprintf("HEAD of %s answers %d %s", image, got.status, got.text)), consequence, "run entrepot doctor with the mirror's settings")
	case got.header.Get("Docker-Content-Digest") == "" || got.length <= 0:
		f.Break(check, fmt.Sprintf("HEAD of %s has no digest or no length", image), "containerd needs a second request for each image",
			"let proxies between here and the mirror pass on Docker-Content-Digest and Content-Length")
	default:
		f.OK(check, "%s is %s", image, got.header.Get("Docker-Content-Digest"))
		m.checkPull(ctx, f, name, image, got.header.Get("Docker-Content-Digest"))
	}
}

// checkPull gets a small blob of an image, its config, as a client does: if the mirror redirects it, from the bucket.
func (m Mirror) checkPull(ctx context.Context, f *Findings, name string, image Image, reference string) {
	check := "pull from " + name
	repository := "/v2/" + m.Prefix(name) + image.Repository
	const consequence = "pulls through the mirror fail"
	for range 3 { // an index may name another
		got, err := m.ask(ctx, http.MethodGet, repository+"/manifests/"+reference, m.Query(name))
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("GET of manifest %s answers %d", reference, got.status)
		}
		if err != nil {
			f.Break(check, err, consequence, "run entrepot doctor with the mirror's settings")
			return
		}
		doc, err := document.Parse(got.body)
		if err == nil && doc.Config == "" && len(doc.Manifests) > 0 {
			reference = doc.Manifests[0].Digest.String()
			continue
		}
		if err == nil && doc.Config != "" {
			m.checkBlob(ctx, f, check, repository+"/blobs/", doc.Config, m.Query(name))
			return
		}
		break
	}
	f.Warn(check, fmt.Sprintf("%s has no config", image), "its blobs are not checked", "name another image with --image")
}

func (m Mirror) checkBlob(ctx context.Context, f *Findings, check, path string, d digest.Digest, query url.Values) {
	got, err := m.ask(ctx, http.MethodGet, path+d.String(), query)
	const consequence = "clients cannot download blobs: pulls through the mirror fail"
	from := "the mirror"
	if got.host != m.URL.Host {
		from = got.host
	}
	switch {
	case err != nil:
		f.Break(check, err, consequence, "let clients reach the bucket, and set ENTREPOT_STORE_PUBLIC_ENDPOINT to the name under which they do, or stream to them with ENTREPOT_REDIRECT")
	case got.status != http.StatusOK:
		f.Break(check, fmt.Sprintf("GET of blob %s answers %d, from %s", d, got.status, from), consequence, "run entrepot doctor with the mirror's settings")
	case d.Algorithm().FromBytes(got.body) != d:
		f.Break(check, fmt.Sprintf("blob %s has other bytes, from %s", d, from), consequence, "let no proxy change responses on the way")
	default:
		f.OK(check, "blob %s came from %s", d, from)
	}
}

// answer is a mirror's response.
type answer struct {
	status int
	header http.Header
	length int64 // bytes; -1 if unknown
	body   []byte
	text   string // the beginning of the body
	host   string // that sent it, with a port, which may be another after a redirect
}

// ask sends a request to the mirror.
func (m Mirror) ask(ctx context.Context, method, path string, query url.Values) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	u := *m.URL
	u.Path, u.RawQuery = path, query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", acceptManifests)
	req.Header.Set("User-Agent", userAgent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, cause(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, upstream.MaxManifest))
	return answer{
		status: resp.StatusCode, header: resp.Header, length: resp.ContentLength, body: body,
		text: strings.TrimSpace(string(body[:min(len(body), maxText)])), host: resp.Request.URL.Host,
	}, err
}

// cause returns why a request got no response, without the URL around it, which may be a signed one.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
