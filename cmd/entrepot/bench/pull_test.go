//go:build bench

package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// pullAsDocker pulls an image as the Docker daemon does: the manifests one by one, then the blobs, three concurrently. It
// uses new connections, verifies and discards the blobs, and returns the duration.
func pullAsDocker(ctx context.Context, host, repository, tag string) (time.Duration, error) {
	began := time.Now()
	p, done, err := newPuller(ctx, host, repository)
	if err != nil {
		return 0, err
	}
	defer done()
	body, err := p.get(ctx, "/manifests/"+tag)
	if err != nil {
		return 0, err
	}
	var index v1.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return 0, err
	}
	if len(index.Manifests) > 0 {
		if body, err = p.get(ctx, "/manifests/"+index.Manifests[0].Digest.String()); err != nil {
			return 0, err
		}
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(body, &manifest); err != nil {
		return 0, err
	}
	blobs, ctx := errgroup.WithContext(ctx)
	blobs.SetLimit(3)
	for _, d := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		blobs.Go(func() error { return p.blob(ctx, d) })
	}
	err = blobs.Wait()
	return time.Since(began), err
}

type puller struct {
	client *http.Client
	base   string
}

// newPuller returns a client with new connections and, if the registry needs one, a new token. done closes the connections.
func newPuller(ctx context.Context, host, repository string) (p puller, done func(), err error) {
	reg, err := name.NewRegistry(host, name.Insecure)
	if err != nil {
		return puller{}, nil, err
	}
	base := &http.Transport{MaxIdleConnsPerHost: 8}
	rt, err := transport.NewWithContext(ctx, reg, authn.Anonymous, plainHTTP{base}, []string{reg.Repo(repository).Scope(transport.PullScope)})
	if err != nil {
		return puller{}, nil, err
	}
	p = puller{client: &http.Client{Transport: rt}, base: "http://" + host + "/v2/" + repository}
	return p, base.CloseIdleConnections, nil
}

// firstByte returns the time from the request for a blob to its first byte. An earlier request opens the connection and
// fetches the token.
func firstByte(ctx context.Context, host, repository, tag string, d digest.Digest) (time.Duration, error) {
	p, done, err := newPuller(ctx, host, repository)
	if err != nil {
		return 0, err
	}
	defer done()
	if _, err := p.get(ctx, "/manifests/"+tag); err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := p.open(ctx, "/blobs/"+d.String())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 1))
	return time.Since(began), err
}

func (p puller) open(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", v1.MediaTypeImageIndex+", "+v1.MediaTypeImageManifest+", */*")
	resp, err := p.client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return resp, err
}

func (p puller) get(ctx context.Context, path string) ([]byte, error) {
	resp, err := p.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func (p puller) blob(ctx context.Context, d v1.Descriptor) error {
	resp, err := p.open(ctx, "/blobs/"+d.Digest.String())
	if err != nil {
		return err
	}
	return verify(resp.Body, d.Digest.String())
}

// verify reads a body to its end, closes it, and returns an error if its digest is not want.
func verify(body io.ReadCloser, want string) error {
	defer body.Close()
	got, err := digest.FromReader(body)
	if err == nil && got.String() != want {
		err = fmt.Errorf("blob %s has digest %s", want, got)
	}
	return err
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

// plainHTTP rejects HTTPS requests immediately, since go-containerregistry tries HTTPS first.
type plainHTTP struct{ next http.RoundTripper }

func (p plainHTTP) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" {
		return nil, fmt.Errorf("unsupported scheme %s", req.URL.Scheme)
	}
	return p.next.RoundTrip(req)
}

func mustGetFirstByte(t *testing.T, host, repository, tag string, d digest.Digest) time.Duration {
	t.Helper()
	took, err := firstByte(t.Context(), host, repository, tag, d)
	if err != nil {
		t.Fatalf("first byte of %s of %s from %s: %v", d, repository, host, err)
	}
	return took
}

func mustPull(t *testing.T, host, repository, tag string) time.Duration {
	t.Helper()
	took, err := pullAsDocker(t.Context(), host, repository, tag)
	if err != nil {
		t.Fatalf("pull %s from %s: %v", repository, host, err)
	}
	return took
}
