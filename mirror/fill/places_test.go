package fill_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/upstream"
)

// In worlds with Bad, the upstream has two endpoints, and the real registry client chooses between them. The first one sends
// wrong bytes, always or sometimes, and never stops. The second is honest.

const badHost, goodHost = "bad.example", "good.example"

// chosen is an upstream with several endpoints as one replica sees it.
type chosen struct {
	source
	*upstream.Blob
}

func (c chosen) Repository() string  { return c.source.Repository() }
func (c chosen) Link() (string, int) { return c.source.Link() }

func (c chosen) Size(ctx context.Context) (int64, error) { return c.Blob.Size(ctx) }

func (c chosen) Open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	return c.Blob.Open(ctx, offset, end)
}

// places answers requests to the endpoints like source.
type places struct{ *replica }

// registries are the registry clients of all replicas of a world. Their goroutines never end, so they cannot be in a bubble.
func registries(w weather) (all []*upstream.Registry, transports []*places) {
	if w.Bad == 0 {
		return nil, nil
	}
	for range w.Replicas {
		p := new(places)
		registry, err := upstream.New(upstream.Config{
			Name:      "upstream",
			Endpoints: []*url.URL{{Scheme: "http", Host: badHost}, {Scheme: "http", Host: goodHost}},
			Transport: p,
		})
		if err != nil {
			panic(err)
		}
		all, transports = append(all, registry), append(transports, p)
	}
	return all, transports
}

// chooses returns the source of a replica for one request of the blob.
func (r *replica) chooses() fill.Source {
	repo, err := upstream.ParseRepository("upstream", "app")
	if err != nil {
		panic(err)
	}
	return chosen{source{r, false}, r.registry.Blob(repo, r.world.digest).WithSize(r.world.Expects)}
}

func (p *places) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req,
	}
	if !strings.Contains(req.URL.Path, "/blobs/") {
		return resp, nil
	}
	var offset, end int64
	if header := req.Header.Get("Range"); header != "" {
		if n, _ := fmt.Sscanf(header, "bytes=%d-%d", &offset, &end); n == 2 {
			end++
		}
	}
	from := source{p.replica, req.URL.Host == badHost}
	if offset == 0 && end == 1 { // a request for the size is no download
		size, err := from.Size(req.Context())
		resp.StatusCode, resp.ContentLength = http.StatusPartialContent, -1
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes 0-0/%d", size))
		return resp, err
	}
	part, err := from.Open(req.Context(), offset, end)
	refused := new(upstream.Error)
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusPartialContent:
		resp.StatusCode = refused.Status // with another range
		return resp, nil
	case errors.As(err, &refused):
		resp.StatusCode = refused.Status
		if refused.RetryAfter > 0 {
			resp.Header.Set("Retry-After", strconv.Itoa(int(refused.RetryAfter.Seconds())))
		}
		return resp, nil
	case err != nil:
		return nil, err
	}
	resp.Body, resp.ContentLength = part.Body, part.Size
	if part.Ranged {
		resp.StatusCode, resp.ContentLength = http.StatusPartialContent, -1
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.Offset, max(end, offset+1)-1, part.Size))
	}
	return resp, nil
}
