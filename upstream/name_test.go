package upstream_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

func TestRepositoryNamesFollowSpec(t *testing.T) {
	for path, want := range map[string]string{
		"alpine":                 "docker.io/library/alpine",
		"library/alpine":         "docker.io/library/alpine",
		"bitnami/redis":          "docker.io/bitnami/redis",
		"a/b/c/d":                "docker.io/a/b/c/d",
		"a.b/c_d/e__f/g-h/i---j": "docker.io/a.b/c_d/e__f/g-h/i---j",
	} {
		repo, err := upstream.ParseRepository(upstream.DockerHub, path)
		require.NoError(t, err, path)
		assert.Equal(t, want, repo.String())
	}
	for _, path := range []string{
		"", "/", "a/", "/a", "a//b", "A", "a/..", "../a", "a/./b", "a_", "_a", "a..b", "a___b", "a b", "a\x00", "ä", "a:b",
		"a@b", strings.Repeat("a", 256),
	} {
		_, err := upstream.ParseRepository("ghcr.io", path)
		assert.Error(t, err, "%q", path)
	}
}

func TestOnlyDockerHubHasOfficialImages(t *testing.T) {
	repo, err := upstream.ParseRepository("quay.io", "alpine")
	require.NoError(t, err)
	assert.Equal(t, "alpine", repo.Path())
}

func TestDockerHubHasThreeNames(t *testing.T) {
	for _, name := range []string{"docker.io", "index.docker.io", "registry-1.docker.io"} {
		assert.Equal(t, "docker.io", upstream.CanonicalRegistry(name))
	}
	assert.Equal(t, "ghcr.io", upstream.CanonicalRegistry("ghcr.io"))
}

func TestReferencesAreTagsOrDigests(t *testing.T) {
	const sha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	const sha512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
	for _, s := range []string{sha256, sha512} {
		ref, err := upstream.ParseReference(s)
		require.NoError(t, err)
		d, byDigest := ref.Digest()
		assert.True(t, byDigest)
		assert.Equal(t, s, d.String())
	}
	for _, s := range []string{"latest", "v1.2.3", "_x", "A-b.C_d", strings.Repeat("t", 128)} {
		ref, err := upstream.ParseReference(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, ref.Tag())
	}
	for _, s := range []string{
		"", ".x", "-x", "a/b", "a b", strings.Repeat("t", 129), "sha256:", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e",
		strings.ToUpper(sha256), sha256 + "0", ":" + sha256[7:],
	} {
		_, err := upstream.ParseReference(s)
		assert.Error(t, err, "%q", s)
	}
}
