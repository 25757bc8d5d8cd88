//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An inventory lists everything in a repository that is reachable from its tags.
type inventory struct {
	tags      []string
	manifests []string // digests
	blobs     []string // digests
	subjects  []string // digests of manifests that have referrers
}

// inventoryOf walks a repository of a registry that has the referrers API.
func inventoryOf(t *testing.T, registry, repository string) inventory {
	t.Helper()
	var list struct{ Tags []string }
	base := registry + "/v2/" + repository
	getJSON(t, base+"/tags/list", &list)
	inv := inventory{tags: list.Tags}
	for _, tag := range list.Tags {
		inv.walk(t, base, tag)
	}
	slices.Sort(inv.blobs)
	inv.blobs = slices.Compact(inv.blobs)
	return inv
}

// walk adds a manifest and everything that it refers to.
func (i *inventory) walk(t *testing.T, base, reference string) {
	t.Helper()
	var manifest struct {
		Manifests []ocispec.Descriptor
		Config    ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Subject   ocispec.Descriptor
	}
	digest := getJSON(t, base+"/manifests/"+reference, &manifest)
	if slices.Contains(i.manifests, digest) {
		return
	}
	i.manifests = append(i.manifests, digest)
	for _, blob := range append(manifest.Layers, manifest.Config) {
		if blob.Digest != "" && len(blob.URLs) == 0 { // layers with URLs are not in the registry
			i.blobs = append(i.blobs, blob.Digest.String())
		}
	}
	if subject := manifest.Subject.Digest.String(); subject != "" && !slices.Contains(i.subjects, subject) {
		i.subjects = append(i.subjects, subject)
	}
	for _, child := range manifest.Manifests {
		i.walk(t, base, child.Digest.String())
	}
}

// getJSON decodes a JSON response and returns its Docker-Content-Digest header.
func getJSON(t *testing.T, url string, into any) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err, "make a request")
	req.Header.Add("Accept", ocispec.MediaTypeImageIndex)
	req.Header.Add("Accept", ocispec.MediaTypeImageManifest)
	resp, err := http.DefaultClient.Do(req)
	must(t, err, "GET "+url)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, resp.Status)
	}
	must(t, json.NewDecoder(resp.Body).Decode(into), "read "+url)
	return resp.Header.Get("Docker-Content-Digest")
}

// readOnly returns the suite's configuration to read the whole inventory from a read-only repository.
func (i inventory) readOnly(repository string) []string {
	return []string{
		"OCI_REPO1=" + repository,
		"OCI_API_PUSH=false", "OCI_API_BLOBS_DELETE=false", "OCI_API_MANIFESTS_DELETE=false", "OCI_API_TAGS_DELETE=false",
		"OCI_RO_DATA_TAGS=" + strings.Join(i.tags, " "),
		"OCI_RO_DATA_MANIFESTS=" + strings.Join(i.manifests, " "),
		"OCI_RO_DATA_BLOBS=" + strings.Join(i.blobs, " "),
		"OCI_RO_DATA_REFERRERS=" + strings.Join(i.subjects, " "),
	}
}

// wantPassed returns how often each of the suite's tests must pass.
func (i inventory) wantPassed() map[string]int {
	return map[string]int{
		"ping":                                   1,
		"empty/tag list":                         1,
		"empty/referrers":                        1,
		"read-only/tag-list":                     1,
		"read-only/head/manifest-head-by-tag":    len(i.tags),
		"read-only/head/manifest-head-by-digest": len(i.manifests),
		"read-only/head/blob-head":               len(i.blobs),
		"read-only/pull/manifest-by-tag":         len(i.tags),
		"read-only/pull/manifest-by-digest":      len(i.manifests),
		"read-only/pull/blob-get":                len(i.blobs),
		"read-only/referrers":                    1,
		"missing-manifest/by-digest":             1,
		"missing-manifest/by-tag":                1,
		"invalid-digest-format/manifest-get":     1,
	}
}
