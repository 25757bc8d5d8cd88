package upstream_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	ociImage    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	dockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	signed      = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	bare        = "application/vnd.docker.distribution.manifest.v1+json"
)

func TestTypesThatSayWhatAManifestIs(t *testing.T) {
	for text, want := range map[string]string{
		ociImage: ociImage,
		"Application/VND.OCI.image.index.v1+JSON": ociIndex,
		dockerImage + "; charset=utf-8":           dockerImage,
		signed:                                    signed,
		"application/vnd.example.thing":           "application/vnd.example.thing",
		"application/thing+json":                  "application/thing+json",
		"":                                        "",
		"text/plain":                              "",
		"text/plain; charset=utf-8":               "",
		"text/html":                               "",
		"text/vnd.example.thing+json":             "",
		"application/json":                        "",
		"application/octet-stream":                "",
		"application/x-gzip":                      "",
		"application/problem+json":                "",
		"application/xhtml+xml":                   "",
		"binary/octet-stream":                     "",
		"application":                             "",
		"application/":                            "",
		"application/*":                           "",
		"*/*":                                     "",
		"application/vnd.a b":                     "",
		"application/vnd.a/b":                     "",
		"application/vnd.\x00":                    "",
		"application/vnd." + strings.Repeat("a", 300): "",
	} {
		assert.Equal(t, want, upstream.ParseManifestType(text), text)
	}
}

func TestTypeOfAManifest(t *testing.T) {
	const (
		layers    = `{"schemaVersion":2,"config":{},"layers":[]}`
		manifests = `{"schemaVersion":2,"manifests":[]}`
		both      = `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`
		old       = `{"schemaVersion":1,"fsLayers":[]}`
		oldSigned = `{"schemaVersion":1,"fsLayers":[],"signatures":[]}`
	)
	for name, c := range map[string]struct {
		said, body string
		want       string
		typed      bool
	}{
		"the body's word goes first":                   {dockerImage, typed(ociImage), ociImage, true},
		"over a type that says nothing":                {"text/plain", typed(ociImage), ociImage, true},
		"over none":                                    {"", typed(ociImage), ociImage, true},
		"over the body's form":                         {"", `{"mediaType":"` + ociIndex + `","layers":[],"config":{}}`, ociIndex, true},
		"in any case and with parameters":              {"", typed("Application/vnd.oci.image.Manifest.v1+json;a=b"), ociImage, true},
		"a type of its own":                            {ociImage, typed("application/vnd.example+json"), "application/vnd.example+json", true},
		"a word that says nothing is none":             {ociImage, typed("application/json"), ociImage, false},
		"so is one that is no media type":              {ociImage, typed("manifest"), ociImage, false},
		"and an empty one":                             {ociImage, typed(""), ociImage, false},
		"and one too long":                             {ociImage, typed("application/vnd." + strings.Repeat("a", 1<<20)), ociImage, false},
		"and what is no text":                          {ociImage, `{"mediaType":{"a":[1]},"config":7}`, ociImage, false},
		"and the unsigned type of another form":        {ociImage, typed(bare), ociImage, false},
		"then the upstream's word":                     {dockerImage, manifests, dockerImage, false},
		"of what is no object too":                     {ociImage, `[]`, ociImage, false},
		"but not that all is signed":                   {signed, layers, ociImage, false},
		"then the form: an image":                      {"text/plain; charset=utf-8", layers, ociImage, false},
		"an image without layers":                      {"application/json", `{"config":{}}`, ociImage, false},
		"an index":                                     {"application/octet-stream", manifests, ociIndex, false},
		"an index with fields that are null":           {"", `{"manifests":[],"layers":null,"config":null}`, ociIndex, false},
		"a signed manifest":                            {"application/json", oldSigned, signed, false},
		"one that is not signed":                       {"application/json", old, bare, false},
		"a form that fits several types says none":     {"application/json", both, "", false},
		"nor does that of two versions":                {"application/json", `{"schemaVersion":1,"layers":[],"fsLayers":[]}`, "", false},
		"nor one that fits none":                       {"application/json", `{"schemaVersion":2}`, "", false},
		"the upstream's word decides what forms leave": {ociIndex, both, ociIndex, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			pushed := reg.Manifest("org/app", "1", c.said, []byte(c.body))
			got, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "org/app"), upstream.ByDigest(pushed.Digest))
			require.NoError(t, err)
			assert.Equal(t, c.want, got.MediaType)
			assert.Equal(t, c.typed, got.Typed)
			assert.Equal(t, c.body, string(got.Body))
		})
	}
}

func typed(mediaType string) string { return `{"mediaType":"` + mediaType + `"}` }

func TestWhatIsSaidToBeSignedIsVerifiedIfItIsNot(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	pushed := reg.Manifest("org/app", "1", ociImage, []byte(`{"schemaVersion":2,"config":{},"layers":[]}`))
	for _, rubbish := range []string{`{"schemaVersion":2}`, typed(signed), `<html></html>`} {
		reg.Faults.Set(upstreamtest.Fault{Body: []byte(rubbish), Header: http.Header{"Content-Type": {signed}}})
		_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "org/app"), upstream.ByDigest(pushed.Digest))
		assert.ErrorIs(t, err, upstream.ErrBadContent, rubbish)
	}
}
