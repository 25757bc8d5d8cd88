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

func TestGenericMediaTypesAreIgnored(t *testing.T) {
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

func TestManifestTypePrecedence(t *testing.T) {
	const (
		layers    = `{"schemaVersion":2,"config":{},"layers":[]}`
		manifests = `{"schemaVersion":2,"manifests":[]}`
		both      = `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`
		old       = `{"schemaVersion":1,"fsLayers":[]}`
		oldSigned = `{"schemaVersion":1,"fsLayers":[],"signatures":[]}`
	)
	for name, c := range map[string]struct {
		header, body string
		want         string
		typed        bool
	}{
		"body before header":                                    {dockerImage, typed(ociImage), ociImage, true},
		"body before generic header":                            {"text/plain", typed(ociImage), ociImage, true},
		"body without header":                                   {"", typed(ociImage), ociImage, true},
		"body before form":                                      {"", `{"mediaType":"` + ociIndex + `","layers":[],"config":{}}`, ociIndex, true},
		"body with capitals and parameters":                     {"", typed("Application/vnd.oci.image.Manifest.v1+json;a=b"), ociImage, true},
		"body with a custom type":                               {ociImage, typed("application/vnd.example+json"), "application/vnd.example+json", true},
		"generic type in body ignored":                          {ociImage, typed("application/json"), ociImage, false},
		"invalid type in body ignored":                          {ociImage, typed("manifest"), ociImage, false},
		"empty type in body ignored":                            {ociImage, typed(""), ociImage, false},
		"long type in body ignored":                             {ociImage, typed("application/vnd." + strings.Repeat("a", 1<<20)), ociImage, false},
		"object as type in body ignored":                        {ociImage, `{"mediaType":{"a":[1]},"config":7}`, ociImage, false},
		"schema 1 type in a body of another form ignored":       {ociImage, typed(bare), ociImage, false},
		"header before form":                                    {dockerImage, manifests, dockerImage, false},
		"header of a body that is no object":                    {ociImage, `[]`, ociImage, false},
		"signed type in the header of an unsigned body ignored": {signed, layers, ociImage, false},
		"form of an image":                                      {"text/plain; charset=utf-8", layers, ociImage, false},
		"form of an image without layers":                       {"application/json", `{"config":{}}`, ociImage, false},
		"form of an index":                                      {"application/octet-stream", manifests, ociIndex, false},
		"form of an index with null fields":                     {"", `{"manifests":[],"layers":null,"config":null}`, ociIndex, false},
		"form of a signed manifest":                             {"application/json", oldSigned, signed, false},
		"form of an unsigned schema 1 manifest":                 {"application/json", old, bare, false},
		"form of several types ignored":                         {"application/json", both, "", false},
		"form of two schema versions ignored":                   {"application/json", `{"schemaVersion":1,"layers":[],"fsLayers":[]}`, "", false},
		"form of no type":                                       {"application/json", `{"schemaVersion":2}`, "", false},
		"header with a form of several types":                   {ociIndex, both, ociIndex, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			pushed := reg.Manifest("org/app", "1", c.header, []byte(c.body))
			got, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "org/app"), upstream.ByDigest(pushed.Digest))
			require.NoError(t, err)
			assert.Equal(t, c.want, got.MediaType)
			assert.Equal(t, c.typed, got.Typed)
			assert.Equal(t, c.body, string(got.Body))
		})
	}
}

func typed(mediaType string) string { return `{"mediaType":"` + mediaType + `"}` }

func TestUnsignedBodyWithSignedTypeIsVerified(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	pushed := reg.Manifest("org/app", "1", ociImage, []byte(`{"schemaVersion":2,"config":{},"layers":[]}`))
	for _, rubbish := range []string{`{"schemaVersion":2}`, typed(signed), `<html></html>`} {
		reg.Faults.Set(upstreamtest.Fault{Body: []byte(rubbish), Header: http.Header{"Content-Type": {signed}}})
		_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repository(t, "org/app"), upstream.ByDigest(pushed.Digest))
		assert.ErrorIs(t, err, upstream.ErrBadContent, rubbish)
	}
}
