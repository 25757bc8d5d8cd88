package upstreamtest_test

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestRandomIsSameFromAnyOffset(t *testing.T) {
	t.Parallel()
	content := upstreamtest.Random(7, 1000)
	require.EqualValues(t, 1000, content.Size())
	whole := make([]byte, 1000)
	_, err := content.ReadAt(whole, 0)
	require.NoError(t, err)
	for off := range int64(1000) {
		part := make([]byte, min(37, 1000-off))
		_, err := content.ReadAt(part, off)
		require.NoError(t, err)
		require.Equal(t, whole[off:off+int64(len(part))], part)
	}
	other := make([]byte, 1000)
	_, err = upstreamtest.Random(8, 1000).ReadAt(other, 0)
	require.NoError(t, err)
	require.NotEqual(t, whole, other)
}

func TestLayerIsArchiveOfRequestedSize(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	for _, size := range []int64{0, 1, 2047, 2048, 2049, 2559, 2560, 5000, 1 << 20} {
		layer := reg.Image("org/app", "v1", size).Layers[0]
		require.Equal(t, size, layer.Size)
		body := get(t, reg.URL()+"/v2/org/app/blobs/"+layer.Digest.String()).body
		require.Len(t, body, int(size))
		require.Equal(t, layer.Digest, digest.FromBytes(body))
		if size < 2048 {
			continue
		}
		archive := tar.NewReader(bytes.NewReader(body))
		header, err := archive.Next()
		require.NoError(t, err)
		require.Greater(t, header.Size, size-2560)
		_, err = archive.Next()
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestContentDependsOnSeed(t *testing.T) {
	t.Parallel()
	digests := map[digest.Digest]bool{}
	for _, seed := range []uint64{0, 0, 1, 2} {
		reg := upstreamtest.Start(t, upstreamtest.Options{Seed: seed})
		digests[reg.Image("org/app", "v1", 100, 100).Digest] = true
		digests[reg.Image("org/app", "v1", 100, 100).Digest] = true
	}
	require.Len(t, digests, 6, "two new images for each seed")
}

func TestImagesShareLayers(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	one := reg.Image("org/app", "one", 100, 200)
	two := reg.ImageOf("org/app", "two", append([]ocispec.Descriptor{one.Layers[0]}, reg.Image("org/app", "", 300).Layers...)...)
	require.NotEqual(t, one.Digest, two.Digest)
	require.Equal(t, one.Layers[0], two.Layers[0])
}

func TestManifestServedAsPushed(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{
		"application/vnd.docker.distribution.manifest.v1+prettyjws",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		"application/x-unheard-of",
		"",
	} {
		reg := upstreamtest.Start(t, upstreamtest.Options{})
		body := []byte("<html> not {even JSON")
		desc := reg.Manifest("org/app", "v1", mediaType, body)
		for _, ref := range []string{"v1", desc.Digest.String()} {
			url := reg.URL() + "/v2/org/app/manifests/" + ref
			for _, r := range []reply{head(t, url), get(t, url)} {
				require.Equal(t, 200, r.StatusCode)
				require.Equal(t, mediaType, r.Header.Get("Content-Type"))
				require.Equal(t, desc.Digest.String(), r.Header.Get("Docker-Content-Digest"))
				require.EqualValues(t, len(body), r.ContentLength)
			}
			require.Equal(t, body, get(t, url).body)
			for _, etag := range []string{desc.Digest.String(), `"` + desc.Digest.String() + `"`, "*"} {
				require.Equal(t, 304, get(t, url, "If-None-Match", etag).StatusCode)
			}
			require.Equal(t, 200, get(t, url, "If-None-Match", `"other"`).StatusCode)
		}
	}
}

func TestBlobServedByAnyDigestAndRange(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	content := []byte("0123456789")
	for _, d := range []digest.Digest{
		reg.Blob("org/app", bytes.NewReader(content)),
		reg.BlobAs(digest.SHA512, "org/app", bytes.NewReader(content)),
	} {
		url := reg.URL() + "/v2/org/app/blobs/" + d.String()
		require.Equal(t, d, d.Algorithm().FromBytes(get(t, url).body))
		require.EqualValues(t, 10, head(t, url).ContentLength)
		for header, want := range map[string]struct {
			status       int
			body, answer string
		}{
			"bytes=0-":     {206, "0123456789", "bytes 0-9/10"},
			"bytes=3-5":    {206, "345", "bytes 3-5/10"},
			"bytes=8-100":  {206, "89", "bytes 8-9/10"},
			"bytes=-2":     {206, "89", "bytes 8-9/10"},
			"bytes=10-":    {416, "invalid range: failed to overlap\n", "bytes */10"},
			"nonsense=1-2": {416, "invalid range\n", ""},
		} {
			r := get(t, url, "Range", header)
			require.Equal(t, want.status, r.StatusCode, header)
			require.Equal(t, want.body, string(r.body), header)
			require.Equal(t, want.answer, r.Header.Get("Content-Range"), header)
		}
	}
}

func TestLargeBlobTakesNoMemory(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 1 << 40
	known := digest.FromString("not the real digest, which would take long to compute")
	reg.BlobUnder(known, "org/app", upstreamtest.Random(1, size))
	r := get(t, reg.URL()+"/v2/org/app/blobs/"+known.String(), "Range", "bytes=1099511627770-")
	require.Len(t, r.body, 6)
	want := make([]byte, 6)
	_, err := upstreamtest.Random(1, size).ReadAt(want, size-6)
	require.NoError(t, err)
	require.Equal(t, want, r.body)
}

func TestMissingContentIsNotFound(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("org/app", "v1", 100)
	reg.Tag("org/app", "v2", image.Digest)
	reg.Delete("org/app", "v1")
	reg.Delete("org/app", image.Layers[0].Digest.String())
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/v2/org/app/manifests/v1":                             {404, "MANIFEST_UNKNOWN"},
		"/v2/org/app/manifests/v2":                             {200, ""},
		"/v2/org/app/manifests/" + image.Digest.String():       {200, ""},
		"/v2/org/app/blobs/" + image.Layers[0].Digest.String(): {404, "BLOB_UNKNOWN"},
		"/v2/org/app/blobs/latest":                             {400, "DIGEST_INVALID"},
		"/v2/org/none/manifests/v1":                            {404, "NAME_UNKNOWN"},
		"/v2/org/none/tags/list":                               {404, "NAME_UNKNOWN"},
		"/v2/":                                                 {200, ""},
		"/v2":                                                  {200, ""},
		"/":                                                    {404, "NAME_UNKNOWN"},
		"/v2/org/app/uploads/x":                                {404, "NAME_UNKNOWN"},
		"/v2/manifests/v1":                                     {404, "NAME_UNKNOWN"},
		"/v2/org/app/tags/list?n=x":                            {400, "PAGINATION_NUMBER_INVALID"},
		"/v2/org/app/referrers/v2?artifactType=application/unknown": {200, ""},
	} {
		r := get(t, reg.URL()+path)
		require.Equal(t, want.status, r.StatusCode, path)
		if want.code != "" {
			require.Contains(t, string(r.body), want.code, path)
		}
	}
	r, err := ask(t, "DELETE", reg.URL()+"/v2/org/app/manifests/v2")
	require.NoError(t, err)
	require.Equal(t, 405, r.StatusCode)
}

func TestReferrersAreFound(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{PageSize: 1})
	image := reg.Image("org/app", "v1", 100)
	refer := func(artifactType string) digest.Digest {
		return reg.Manifest("org/app", "", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"artifactType":"`+artifactType+
			`","subject":{"digest":"`+image.Digest.String()+`"},"annotations":{"a":"b"}}`)).Digest
	}
	want := []digest.Digest{refer("application/sbom"), refer("application/signature")}
	base := reg.URL() + "/v2/org/app/referrers/"

	var found []digest.Digest
	for path := base + image.Digest.String(); path != ""; {
		r := get(t, path)
		require.Equal(t, ocispec.MediaTypeImageIndex, r.Header.Get("Content-Type"))
		index := into[ocispec.Index](t, r)
		require.Len(t, index.Manifests, 1)
		require.Equal(t, map[string]string{"a": "b"}, index.Manifests[0].Annotations)
		found = append(found, index.Manifests[0].Digest)
		path = ""
		if link := r.Header.Get("Link"); link != "" {
			path = reg.URL() + link[1:bytes.IndexByte([]byte(link), '>')]
		}
	}
	require.ElementsMatch(t, want, found)

	r := get(t, base+image.Digest.String()+"?artifactType=application/sbom")
	require.Equal(t, "artifactType", r.Header.Get("OCI-Filters-Applied"))
	require.Equal(t, want[0], into[ocispec.Index](t, r).Manifests[0].Digest)

	r = get(t, base+want[0].String())
	require.Equal(t, 200, r.StatusCode)
	require.Contains(t, string(r.body), `"manifests":[]`)

	without := upstreamtest.Start(t, upstreamtest.Options{NoReferrers: true})
	image = without.Image("org/app", "v1", 100)
	require.Equal(t, 404, get(t, without.URL()+"/v2/org/app/referrers/"+image.Digest.String()).StatusCode)
}
