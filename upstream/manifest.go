package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/bounded"
)

// MaxManifest limits the size of a manifest in bytes. The distribution spec asks registries for at least 4 MiB.
const MaxManifest = 8 << 20

// acceptManifests is sent with every request for a manifest, whatever the client accepts: some upstreams vary a tag by it,
// and all clients share one record.
var acceptManifests = strings.Join([]string{
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"*/*",
}, ", ")

// Descriptor describes a manifest.
type Descriptor struct {
	Digest    digest.Digest // empty if unknown
	MediaType string        // without parameters; empty if unknown
	Size      int64         // bytes
}

// Manifest is a manifest with the upstream's exact bytes.
type Manifest struct {
	Descriptor
	Body  []byte
	Typed bool // the body states the media type; otherwise the upstream or the body's fields suggested it
}

// Schema1 reports whether this is Docker's first, signed format, whose digest is not that of its bytes.
func (d Descriptor) Schema1() bool { return isSchema1(d.MediaType) }

func manifestRequest(method string, repo Repository, ref Reference) request {
	return request{
		method: method,
		repo:   repo,
		path:   "manifests/" + ref.String(),
		header: http.Header{"Accept": {acceptManifests}},
	}
}

// GetManifest fetches a manifest and verifies its bytes against the digest in the reference, or else in the response. Other
// content counts as a failure of the endpoint.
func (r *Registry) GetManifest(ctx context.Context, repo Repository, ref Reference) (Manifest, error) {
	var m Manifest
	resp, err := r.send(ctx, manifestRequest(http.MethodGet, repo, ref), func(_ *endpoint, resp *http.Response, _ bool) error {
		if !ok(resp) {
			return errStatus
		}
		var err error
		if m, err = r.readManifest(ctx, resp, ref); errors.Is(err, bounded.ErrFull) {
			return err
		} else if err != nil {
			return fmt.Errorf("%w: manifest %s of %s: %w", ErrBadContent, ref, repo, err)
		}
		return nil
	})
	if err != nil {
		m = Manifest{}
	} else {
		resp.Body.Close()
	}
	r.heads.decided(headKey(repo, ref), m.Digest.String())
	return m, err
}

// ErrBadContent is the cause of an error if an upstream sent something other than the requested content.
var ErrBadContent = errors.New("bad content")

func (r *Registry) readManifest(ctx context.Context, resp *http.Response, ref Reference) (Manifest, error) {
	body, err := readBody(ctx, r.memory, resp, MaxManifest)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Descriptor: describe(resp, int64(len(body))), Body: body}
	m.MediaType, m.Typed = typeOf(body, m.MediaType)
	if m.Schema1() {
		return m, nil
	}
	want, byDigest := ref.Digest()
	if !byDigest {
		// Without a digest, only the form can tell a manifest from a login page with status 200.
		if body := bytes.TrimSpace(body); !bytes.HasPrefix(body, []byte("{")) || !json.Valid(body) {
			return Manifest{}, fmt.Errorf("not JSON, but %s", printable(cmp.Or(resp.Header.Get("Content-Type"), "something else"), 100))
		}
		want = m.Digest
	}
	if want == "" {
		want = digest.FromBytes(body)
	}
	if got := want.Algorithm().FromBytes(body); got != want {
		return Manifest{}, fmt.Errorf("the %d bytes hash to %s", len(body), got)
	}
	m.Digest = want
	return m, nil
}

// typeOf returns a manifest's media type, and whether the body states it. Otherwise the type that the upstream stated
// counts, and then the body's fields.
func typeOf(body []byte, said string) (mediaType string, typed bool) {
	f := formOf(body)
	if own := f.own(); own != "" {
		return own, true
	}
	if isSchema1(said) && !f.isSchema1() { // some registries state it for everything without a type
		said = ""
	}
	return cmp.Or(said, f.likely()), false
}

func describe(resp *http.Response, size int64) Descriptor {
	d := Descriptor{MediaType: ParseManifestType(resp.Header.Get("Content-Type")), Size: size}
	// An invalid digest counts as none.
	if parsed, err := ParseDigest(resp.Header.Get("Docker-Content-Digest")); err == nil {
		d.Digest = parsed
	}
	return d
}
