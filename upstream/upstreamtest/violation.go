package upstreamtest

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Rule is a rule that a good client of registries follows.
type Rule string

// All rules.
const (
	// AuthorizationLeak: the wrong host received an Authorization: the CDN; a token service that expects none, or that gets
	// another scheme than Basic; a registry that expects none, or that gets another scheme than Bearer.
	AuthorizationLeak Rule = "authorization leak"
	// IdentityMissing: a request for a blob lacks Accept-Encoding: identity.
	IdentityMissing Rule = "no Accept-Encoding: identity"
	// AcceptIncomplete: a request for a manifest lacks one of ManifestTypes in its Accept headers.
	AcceptIncomplete Rule = "incomplete Accept"
)

// Violation is a breach of a rule by a request.
type Violation struct {
	Rule   Rule
	At     string // the address that received the request
	Method string
	Path   string
	Detail string
}

// String formats the violation for the failure of a test.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s http://%s%s: %s", v.Rule, v.Method, v.At, v.Path, v.Detail)
}

// ManifestTypes lists the media types that a request for a manifest must accept. Some registries choose by them.
func ManifestTypes() []string {
	return []string{
		ocispec.MediaTypeImageIndex,
		ocispec.MediaTypeImageManifest,
		"application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.docker.distribution.manifest.v2+json",
		"*/*",
	}
}

// violations returns the rules that a request breaks.
func (r *Registry) violations(q *request, at *site) []Violation {
	var found []Violation
	breaks := func(rule Rule, format string, args ...any) {
		found = append(found, Violation{rule, at.addr, q.Method, q.URL.Path, fmt.Sprintf(format, args...)})
	}
	if scheme, _, _ := strings.Cut(q.Header.Get("Authorization"), " "); scheme != "" && !r.wants(scheme, q.kind, at) {
		breaks(AuthorizationLeak, "%s credentials", scheme)
	}
	switch q.kind {
	case BlobGet, CDNGet:
		if got := q.Header.Values("Accept-Encoding"); len(got) != 1 || got[0] != "identity" {
			breaks(IdentityMissing, "Accept-Encoding: %q", got)
		}
	case ManifestHead, ManifestGet:
		var missing []string
		for _, mediaType := range ManifestTypes() {
			if !q.accepts(mediaType) {
				missing = append(missing, mediaType)
			}
		}
		if missing != nil {
			breaks(AcceptIncomplete, "without %s", strings.Join(missing, ", "))
		}
	}
	return found
}

// wants reports whether an Authorization of a scheme is expected.
func (r *Registry) wants(scheme string, kind Kind, at *site) bool {
	switch {
	case at == r.cdn:
		return false
	case kind == Token:
		return r.opts.Username != "" && strings.EqualFold(scheme, "Basic")
	case r.opts.Basic && at == r.registry && strings.EqualFold(scheme, "Basic"):
		return true
	default:
		return at == r.registry && r.opts.Auth && strings.EqualFold(scheme, "Bearer")
	}
}
