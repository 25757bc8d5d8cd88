package upstream_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestEncodedBodiesAreDecoded(t *testing.T) {
	for _, encoding := range []string{"gzip", "deflate", "zstd"} {
		for _, cdn := range []bool{false, true} {
			t.Run(encoding, func(t *testing.T) {
				reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: cdn})
				image := reg.Image("library/app", "1", 100_000)
				reg.Faults.Set(upstreamtest.Fault{Encoding: encoding})
				r, repo, ctx := connect(t, nil, reg.URL()), repository(t, "app"), t.Context()

				for _, ref := range []upstream.Reference{tag(t, "1"), upstream.ByDigest(image.Digest)} {
					m, err := r.GetManifest(ctx, repo, ref)
					require.NoError(t, err)
					assert.Equal(t, image.Body, m.Body)
					assert.Equal(t, image.Size, m.Size)
				}
				tags, err := r.Tags(ctx, repo, nil)
				require.NoError(t, err)
				assert.JSONEq(t, `{"name":"library/app","tags":["1"]}`, string(tags.Body))
				referrers, err := r.Referrers(ctx, repo, image.Digest, nil)
				require.NoError(t, err)
				assert.Contains(t, string(referrers.Body), `"manifests":[]`)

				blob := r.Blob(repo, image.Layers[0].Digest)
				size, err := blob.Size(ctx)
				require.NoError(t, err)
				assert.Equal(t, image.Layers[0].Size, size)
				part, err := blob.Open(ctx, 0, 0)
				require.NoError(t, err)
				defer part.Body.Close()
				assert.False(t, part.Ranged)
				assert.EqualValues(t, -1, part.Size)
				got, err := digest.FromReader(part.Body)
				require.NoError(t, err)
				assert.Equal(t, image.Layers[0].Digest, got)
				_, err = blob.Open(ctx, 10, 20)
				assert.ErrorIs(t, err, upstream.ErrWrongRange, "a range of the encoded bytes is useless")
			})
		}
	}
}

func TestEncodedErrorsAreDecoded(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 1000)
	reg.Faults.Set(upstreamtest.Fault{Status: 404, Encoding: "gzip"})
	_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	assert.Equal(t, "MANIFEST_UNKNOWN", failure(t, err).Code)

	reg.Faults.Set(upstreamtest.Fault{Status: 404, Header: http.Header{"Content-Encoding": {"br"}}})
	_, err = connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	assert.True(t, failure(t, err).NotFound())
}

func TestUnknownEncodingIsBadContent(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 1000)
	for _, encoding := range []string{"br", "gzip, gzip, gzip, gzip", "gzip"} { // the last body is not encoded
		reg.Faults.Set(upstreamtest.Fault{Header: http.Header{"Content-Encoding": {encoding}}})
		_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
		assert.ErrorIs(t, err, upstream.ErrBadContent, encoding)
	}
}

func TestAllRequestsAcceptOnlyIdentity(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true, TokenHost: "127.0.0.4"})
	image := reg.Image("library/app", "1", 1000)
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	everything(t, r)
	_, err := r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err)
	part, err := r.Blob(repo, image.Layers[0].Digest).Open(t.Context(), 0, 0)
	require.NoError(t, err)
	part.Body.Close()
	kinds := map[upstreamtest.Kind]bool{}
	for _, q := range reg.Requests() {
		kinds[q.Kind] = true
		assert.Equal(t, []string{"identity"}, q.Header.Values("Accept-Encoding"), q.Kind)
	}
	assert.Len(t, kinds, 8, "%v", kinds)
}

func TestDecoderReservesRoomForItsWindow(t *testing.T) {
	var encoded bytes.Buffer
	w, err := zstd.NewWriter(&encoded, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	body := []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json","x":"` + strings.Repeat("x", 1<<20) + `"}`)
	_, err = w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.NoError(t, w.Close())

	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 1000)
	reg.Faults.Set(upstreamtest.Fault{Body: encoded.Bytes(), Header: http.Header{"Content-Encoding": {"zstd"}, "Docker-Content-Digest": nil}})
	for size, enough := range map[int64]bool{8 << 20: false, 32 << 20: true} {
		memory := bounded.NewBudget(size)
		r := connectIn(t, memory.Share(size), nil, reg.URL())
		for range 5 {
			m, err := r.GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
			if !enough {
				require.ErrorIs(t, err, bounded.ErrFull)
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, body, m.Body)
		}
		assert.LessOrEqual(t, memory.Used(), int64(10<<20), "the windows are released")
		require.NoError(t, r.Trouble(), "it is not the upstream's fault")
	}
}
