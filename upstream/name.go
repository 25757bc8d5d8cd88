package upstream

import (
	_ "crypto/sha256" // registers sha256 with go-digest
	_ "crypto/sha512" // registers sha512 with go-digest
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// DockerHub is the name of Docker Hub's registry in image names.
const DockerHub = "docker.io"

// maxName limits a repository name in bytes: the distribution spec warns of clients that limit host and name together to
// 255.
const maxName = 255

// The grammars of the distribution spec, "Pulling manifests".
var (
	nameGrammar = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// CanonicalRegistry maps Docker Hub's names to one, and returns any other name unchanged.
func CanonicalRegistry(name string) string {
	switch name {
	case "index.docker.io", "registry-1.docker.io":
		return DockerHub
	}
	return name
}

// Repository is the name of a repository in a registry, such as docker.io/library/alpine. Only ParseRepository makes one,
// so every value but zero is valid.
type Repository struct {
	registry, path string
}

// ParseRepository checks a repository's path against the distribution spec's grammar. A path of one component in Docker Hub
// is an official image and gets the prefix "library/". The registry is a configured one and not checked.
func ParseRepository(registry, path string) (Repository, error) {
	if len(path) > maxName || !nameGrammar.MatchString(path) {
		return Repository{}, fmt.Errorf("%q is not a repository name", path)
	}
	if registry == DockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return Repository{registry, path}, nil
}

// Registry returns the name of the upstream, such as docker.io.
func (r Repository) Registry() string { return r.registry }

// Path returns the repository's name within its registry, such as library/alpine.
func (r Repository) Path() string { return r.path }

func (r Repository) String() string { return r.registry + "/" + r.path }

// Reference names a manifest in a repository by tag or by digest.
type Reference struct {
	tag    string
	digest digest.Digest
}

// ParseReference parses a tag or a digest. Every digest contains a colon, and no tag does.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{digest: d}, err
	}
	if !tagGrammar.MatchString(s) {
		return Reference{}, fmt.Errorf("%q is not a tag", s)
	}
	return Reference{tag: s}, nil
}

// ParseDigest checks a digest. It accepts sha256, sha384 and sha512, which can be verified.
func ParseDigest(s string) (digest.Digest, error) {
	d := digest.Digest(s)
	if isSHA256(s) { // avoids the regular expression in nearly all cases
		return d, nil
	}
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("%q is not a digest: %w", s, err)
	}
	return d, nil
}

func isSHA256(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// ByDigest returns a reference to the manifest with a digest.
func ByDigest(d digest.Digest) Reference { return Reference{digest: d} }

// Digest returns the digest, and whether the reference has one.
func (r Reference) Digest() (digest.Digest, bool) { return r.digest, r.digest != "" }

// Tag returns the tag, or an empty string if the reference is a digest.
func (r Reference) Tag() string { return r.tag }

func (r Reference) String() string {
	if r.digest != "" {
		return r.digest.String()
	}
	return r.tag
}
