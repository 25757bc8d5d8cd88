package upstreamtest

import (
	"bytes"
	_ "crypto/sha256" // for go-digest
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blob puts a blob into a repository and returns its SHA-256 digest, which it computes.
func (r *Registry) Blob(repo string, c Content) digest.Digest {
	return r.BlobAs(digest.SHA256, repo, c)
}

// BlobAs is Blob with another digest algorithm.
func (r *Registry) BlobAs(algorithm digest.Algorithm, repo string, c Content) digest.Digest {
	d, err := algorithm.FromReader(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		panic(fmt.Sprintf("read the content of a blob: %v", err))
	}
	r.BlobUnder(d, repo, c)
	return d
}

// BlobUnder puts a blob into a repository under a digest that the caller knows, or that is wrong on purpose.
func (r *Registry) BlobUnder(d digest.Digest, repo string, c Content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repository(repo).blobs[d] = c
}

// Manifest puts a manifest of any media type and with any bytes into a repository, and moves the tag to it unless the tag
// is empty. The referrers API finds it by its subject.
func (r *Registry) Manifest(repo, tag, mediaType string, body []byte) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	m := manifest{Descriptor: desc, body: body}
	var fields ocispec.Manifest
	// Only referrers need the fields. Decoding a large manifest takes a second with the race detector.
	if bytes.Contains(body, []byte(`"subject"`)) && json.Unmarshal(body, &fields) == nil {
		m.Annotations = fields.Annotations
		m.ArtifactType = fields.ArtifactType
		if m.ArtifactType == "" {
			m.ArtifactType = fields.Config.MediaType
		}
		if fields.Subject != nil {
			m.subject = fields.Subject.Digest
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repository(repo).manifests[desc.Digest] = m
	if tag != "" {
		r.repository(repo).tags[tag] = desc.Digest
	}
	return desc
}

// Tag points a tag to a manifest, which may be missing.
func (r *Registry) Tag(repo, tag string, d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repository(repo).tags[tag] = d
}

// Delete removes a tag, or the manifest and the blob with a digest. It does not remove the repository.
func (r *Registry) Delete(repo, reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repository(repo).tags, reference)
	delete(r.repository(repo).manifests, digest.Digest(reference))
	delete(r.repository(repo).blobs, digest.Digest(reference))
}

// repository returns a repository, and creates it if it is missing. The caller holds the lock.
func (r *Registry) repository(name string) *repository {
	if r.repos[name] == nil {
		r.repos[name] = &repository{
			tags:      map[string]digest.Digest{},
			manifests: map[digest.Digest]manifest{},
			blobs:     map[digest.Digest]Content{},
		}
	}
	return r.repos[name]
}

func (r *Registry) exists(repo string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.repos[repo] != nil
}

// resolve returns the digest of a reference, empty for an unknown tag.
func (r *Registry) resolve(repo, reference string) digest.Digest {
	if d, err := digest.Parse(reference); err == nil {
		return d
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if repository := r.repos[repo]; repository != nil {
		return repository.tags[reference]
	}
	return ""
}
