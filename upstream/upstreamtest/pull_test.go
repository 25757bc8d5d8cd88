package upstreamtest_test

import (
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestClientsCanPullImage(t *testing.T) {
	t.Parallel()
	for what, opts := range map[string]upstreamtest.Options{
		"without auth":               {},
		"with a token":               {Auth: true},
		"with a short token":         {Auth: true, ExpiresIn: -1, AccessToken: true},
		"from the CDN":               {CDN: true, CDNName: "cdn.test"},
		"with a token from the CDN":  {Auth: true, CDN: true, CDNName: "cdn.test"},
		"with a password, privately": {Auth: true, Username: "ann", Password: "secret", Private: []string{"org/app"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, opts)
			pushed := reg.Image("org/app", "v1", 1<<20, 5000)
			ref, client := crane(t, reg, "org/app:v1")
			if opts.Username != "" {
				client = append(client, remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: "ann", Password: "secret"})))
			}

			image, err := remote.Image(ref, client...)
			require.NoError(t, err)
			body, err := image.RawManifest()
			require.NoError(t, err)
			require.Equal(t, pushed.Body, body)
			readAll(t, image)

			counts := reg.Counts()
			require.Equal(t, 1, counts.Requests[upstreamtest.ManifestGet])
			if opts.CDN {
				require.Equal(t, counts.Requests[upstreamtest.BlobGet], counts.Requests[upstreamtest.CDNGet])
			}
			for _, violation := range counts.Violations {
				require.NotEqual(t, upstreamtest.AuthorizationLeak, violation.Rule, violation.String())
			}
		})
	}
}

func TestClientsCanPullIndex(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	pushed := reg.Index("org/app", "v1", 3000)
	ref, client := crane(t, reg, "org/app:v1")

	index, err := remote.Index(ref, client...)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	var platforms []string
	for _, child := range manifest.Manifests {
		platforms = append(platforms, child.Platform.String())
		image, err := index.Image(child.Digest)
		require.NoError(t, err)
		readAll(t, image)
	}
	require.Equal(t, []string{"linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"}, platforms)
	require.Equal(t, pushed.Images[1].Digest.String(), manifest.Manifests[3].Annotations["vnd.docker.reference.digest"])
	require.NotEqual(t, pushed.Images[0].Layers[0].Digest, pushed.Images[1].Layers[0].Digest)
}

func TestTagsListedInPages(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{PageSize: 2})
	desc := reg.Manifest("org/app", "a", "text/plain", []byte("x"))
	for _, tag := range []string{"e", "b", "d", "c"} {
		reg.Tag("org/app", tag, desc.Digest)
	}
	ref, client := crane(t, reg, "org/app")
	tags, err := remote.List(ref.Context(), client...)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, tags)
	require.Equal(t, 3, reg.Counts().Requests[upstreamtest.Tags])
}

// readAll reads an image's config and layers. The library verifies their digests.
func readAll(t *testing.T, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	require.NoError(t, err)
	layers, err := image.Layers()
	require.NoError(t, err)
	require.Len(t, config.RootFS.DiffIDs, len(layers))
	for i, layer := range layers {
		body, err := layer.Uncompressed()
		require.NoError(t, err)
		hash, _, err := v1.SHA256(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		require.Equal(t, config.RootFS.DiffIDs[i], hash)
		compressed, err := layer.Compressed()
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, compressed)
		require.NoError(t, err)
		require.NoError(t, compressed.Close())
	}
}
