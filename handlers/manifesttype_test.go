package handlers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestManifestTypeIndependentOfRequest(t *testing.T) {
	const (
		imageType = "application/vnd.oci.image.manifest.v1+json"
		indexType = "application/vnd.oci.image.index.v1+json"
	)
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	body := []byte(`{"schemaVersion":2,"config":{},"layers":[]}`)
	d := reg.Manifest("org/image", "1", imageType, body).Digest.String()
	reg.Manifest("org/index", "1", indexType, body)
	store := newFileStore(t)
	first := serve(t, reg, store, "never")
	for _, path := range []string{"image/manifests/1", "image/manifests/" + d, "index/manifests/" + d, "index/manifests/1"} {
		assert.Equal(t, http.StatusOK, first.get(t, "/v2/org/"+path).StatusCode)
	}
	reg.Stop()
	for _, f := range []front{first, serve(t, reg, store, "never")} {
		for repo, mediaType := range map[string]string{"image": imageType, "index": indexType} {
			for _, path := range []string{"manifests/1", "manifests/" + d, "blobs/" + d} {
				for _, method := range []string{http.MethodHead, http.MethodGet} {
					got := f.do(t, method, "/v2/org/"+repo+"/"+path)
					assert.Equal(t, http.StatusOK, got.StatusCode, "%s %s", method, path)
					assert.Equal(t, mediaType, got.Header.Get("Content-Type"), "%s %s", method, path)
					assert.Equal(t, d, got.Header.Get("Docker-Content-Digest"))
					assert.Equal(t, int64(len(body)), got.ContentLength)
					if method == http.MethodGet {
						assert.Equal(t, body, got.body)
					}
				}
			}
		}
	}
}
