//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// referrersRegistry is a proxy that adds the referrers API to the reference implementation, which lacks it. It records the
// subjects of pushed manifests.
type referrersRegistry struct {
	proxy *httputil.ReverseProxy

	mu        sync.Mutex
	referrers map[string][]ocispec.Descriptor // by URL path of the referrers list
}

// startReferrersRegistry returns the URL of a registry with the referrers API.
func startReferrersRegistry(t testing.TB) string {
	t.Helper()
	target, err := url.Parse(testenv.StartRegistry(t, "127.0.0.2").URL())
	must(t, err, "parse the registry's URL")
	r := &referrersRegistry{
		// Keep the client's Host, since the registry uses it in Location headers.
		proxy:     &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host }},
		referrers: map[string][]ocispec.Descriptor{},
	}
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	must(t, err, "listen")
	server := httptest.NewUnstartedServer(r)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func (r *referrersRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	repository, _, isManifest := strings.Cut(req.URL.Path, "/manifests/")
	switch {
	case strings.Contains(req.URL.Path, "/referrers/"):
		r.list(w, req)
	case isManifest && req.Method == http.MethodPut:
		r.put(w, req, repository)
	default:
		r.proxy.ServeHTTP(w, req)
	}
}

func (r *referrersRegistry) list(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	artifactType := req.URL.Query().Get("artifactType")
	for _, descriptor := range r.referrers[req.URL.Path] {
		if artifactType == "" || descriptor.ArtifactType == artifactType {
			index.Manifests = append(index.Manifests, descriptor)
		}
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	_ = json.NewEncoder(w).Encode(index) // fails only if the client disconnected
}

// put passes on a manifest, and records its subject if the registry accepts it.
func (r *referrersRegistry) put(w http.ResponseWriter, req *http.Request, repository string) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var manifest struct {
		MediaType    string             `json:"mediaType"`
		ArtifactType string             `json:"artifactType"`
		Config       ocispec.Descriptor `json:"config"`
		Subject      ocispec.Descriptor `json:"subject"`
		Annotations  map[string]string  `json:"annotations"`
	}
	if json.Unmarshal(body, &manifest) != nil || manifest.Subject.Digest == "" {
		r.proxy.ServeHTTP(w, req)
		return
	}
	w.Header().Set("OCI-Subject", manifest.Subject.Digest.String())
	response := httptest.NewRecorder()
	r.proxy.ServeHTTP(response, req)
	if response.Code == http.StatusCreated {
		if manifest.ArtifactType == "" {
			manifest.ArtifactType = manifest.Config.MediaType
		}
		r.mu.Lock()
		listing := repository + "/referrers/" + manifest.Subject.Digest.String()
		r.referrers[listing] = append(r.referrers[listing], ocispec.Descriptor{
			MediaType: manifest.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body)),
			ArtifactType: manifest.ArtifactType, Annotations: manifest.Annotations,
		})
		r.mu.Unlock()
	}
	for name, values := range response.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(response.Code)
	_, _ = w.Write(response.Body.Bytes()) // fails only if the client disconnected
}
