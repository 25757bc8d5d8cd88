package document_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/document"
)

var a, b, c = digest.FromString("a"), digest.FromString("b"), digest.FromString("c")

func TestParseReadsWhatManifestNames(t *testing.T) {
	const layer, image = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.manifest.v1+json"
	for name, test := range map[string]struct {
		body string // A, B and C are digests
		want document.Document
	}{
		"an image": {
			`{"mediaType":"` + image + `","config":{"digest":"A","size":7},"layers":[{"mediaType":"` + layer + `","digest":"B","size":8}],
				"subject":{"digest":"C"}}`,
			document.Document{MediaType: image, Config: a, Subject: c,
				Blobs: []document.Descriptor{{Digest: a, Size: 7}, {Digest: b, Size: 8, MediaType: layer}}},
		},
		"an index": {
			`{"manifests":[{"digest":"A","mediaType":"` + image + `","size":9,"platform":{"os":"linux","architecture":"arm","variant":"v7"}},
				{"digest":"B","platform":{"os":"unknown","architecture":"unknown"},"annotations":{"x":"C","vnd.docker.reference.digest":"A"}}]}`,
			document.Document{Manifests: []document.Descriptor{
				{Digest: a, MediaType: image, Size: 9, Platform: v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
				{Digest: b, Attests: a},
			}},
		},
		"schema 1": {
			`{"schemaVersion":1,"fsLayers":[{"blobSum":"A"},{"blobSum":"B"}]}`,
			document.Document{Blobs: []document.Descriptor{{Digest: a}, {Digest: b}}},
		},
		"an artifact":        {`{"blobs":[{"digest":"A"}]}`, document.Document{Blobs: []document.Descriptor{{Digest: a}}}},
		"a SHA-512 digest":   {`{"layers":[{"digest":"D"}]}`, document.Document{Blobs: []document.Descriptor{{Digest: digest.SHA512.FromString("d")}}}},
		"an empty object":    {`{}`, document.Document{}},
		"null fields":        {`{"config":null,"layers":null,"manifests":null,"subject":null,"mediaType":null}`, document.Document{}},
		"invalid config":     {`{"config":{"digest":"sha256:1","size":7}}`, document.Document{}},
		"invalid subject":    {`{"subject":["A"]}`, document.Document{}},
		"invalid media type": {`{"mediaType":"` + strings.Repeat("x", 256) + `"}`, document.Document{}},
		"invalid layers": {
			`{"layers":[1,null,"A",{},{"digest":1},{"digest":"md5:0"},{"digest":"A","size":"7","platform":1,"annotations":1}]}`,
			document.Document{Blobs: []document.Descriptor{{Digest: a}}},
		},
		"invalid attestation": {
			`{"manifests":[{"digest":"A","annotations":{"vnd.docker.reference.digest":"sha256:1"}}]}`,
			document.Document{Manifests: []document.Descriptor{{Digest: a}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.NewReplacer(`"A"`, `"`+a.String()+`"`, `"B"`, `"`+b.String()+`"`, `"C"`, `"`+c.String()+`"`,
				`"D"`, `"`+digest.SHA512.FromString("d").String()+`"`).Replace(test.body)
			got, err := document.Parse([]byte(body))
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestParseRejectsOtherDocuments(t *testing.T) {
	for _, body := range []string{``, `{`, `<html>`, `[]`, `null`, `"x"`, `{"layers":{}}`, `{"manifests":7}`} {
		_, err := document.Parse([]byte(body))
		assert.Error(t, err, body)
	}
}

func TestParseReadsLimitedDescriptors(t *testing.T) {
	invalid := strings.Repeat("1,", 49_999) // these count, and are fast to parse
	doc, err := document.Parse(fmt.Appendf(nil, `{"layers":[%s{"digest":%q}],"manifests":[%s{"digest":%q},{"digest":%q}],"subject":{"digest":%q}}`,
		invalid, a, invalid, b, c, c))
	require.NoError(t, err)
	want := document.Document{Blobs: []document.Descriptor{{Digest: a}}, Manifests: []document.Descriptor{{Digest: b}}, Subject: c}
	assert.Equal(t, want, doc, "only the first 100,000 descriptors, but all fields")
}

func TestForeignLayersRecognized(t *testing.T) {
	for mediaType, want := range map[string]bool{
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":    true,
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": true,
		"application/vnd.oci.image.layer.v1.tar+gzip":                  false,
		"application/vnd.docker.image.rootfs.diff.tar.gzip":            false,
		"":                               false,
		"application/vnd.foreignfs+json": false,
	} {
		assert.Equal(t, want, document.Descriptor{MediaType: mediaType}.IsForeign(), mediaType)
	}
}

func TestPlatformOfConfig(t *testing.T) {
	for body, want := range map[string]v1.Platform{
		`{"os":"linux","architecture":"arm64","variant":"v8","config":{"os":"x"}}`: {OS: "linux", Architecture: "arm64", Variant: "v8"},
		`{"os":"unknown","architecture":"unknown"}`:                                {},
		`{"os":1,"architecture":"amd64"}`:                                          {Architecture: "amd64"},
		`{"os":"` + strings.Repeat("x", 65) + `"}`:                                 {},
		`[]`: {},
	} {
		parsed, err := bounded.Parse([]byte(body))
		require.NoError(t, err)
		assert.Equal(t, want, document.Platform(parsed), body)
	}
}
