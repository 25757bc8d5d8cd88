package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// retryingClient pulls an image as real clients do: when a download fails it requests the rest, or all of it, from a random
// replica.
type retryingClient struct {
	chaos   *chaos
	random  *rand.Rand
	resumes bool // request the rest instead of everything
}

// pull returns nil once the client has the whole image and it is correct.
func (c *retryingClient) pull(ctx context.Context) error {
	if err := c.pullManifest(ctx); err != nil {
		return err
	}
	for _, i := range c.random.Perm(len(c.chaos.blobs)) {
		if err := c.pullBlob(ctx, c.chaos.blobs[i]); err != nil {
			return fmt.Errorf("blob %d: %w", i, err)
		}
	}
	return nil
}

// errWrong means that a complete response had wrong bytes, which must never happen.
var errWrong = errors.New("complete but wrong")

func (c *retryingClient) pullManifest(ctx context.Context) error {
	return c.retry(ctx, func() error {
		var got bytes.Buffer
		if _, err := c.get(ctx, "/v2/"+fillRepo+"/manifests/1", "", &got); err != nil {
			return err
		}
		if !bytes.Equal(got.Bytes(), c.chaos.image.Body) {
			return fmt.Errorf("%w: %d bytes of a manifest", errWrong, got.Len())
		}
		return nil
	})
}

func (c *retryingClient) pullBlob(ctx context.Context, b coldBlob) error {
	sum, received := sha256.New(), int64(0)
	return c.retry(ctx, func() error {
		header := ""
		if c.resumes && received > 0 {
			header = fmt.Sprintf("bytes=%d-", received)
		} else {
			sum.Reset()
			received = 0
		}
		n, err := c.get(ctx, b.path(), header, sum)
		if received += n; err != nil {
			return err
		}
		return rightBlob(b, sum, received)
	})
}

func rightBlob(b coldBlob, sum hash.Hash, received int64) error {
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != b.digest.String() || received != b.size() {
		return fmt.Errorf("%w: %d bytes of %s, want %d of %s", errWrong, received, got, b.size(), b.digest)
	}
	return nil
}

// get sends a request to a random replica and copies the body. A body that ends early is an error.
func (c *retryingClient) get(ctx context.Context, path, byteRange string, to io.Writer) (int64, error) {
	s := c.chaos
	s.mu.Lock()
	r := s.current[c.random.IntN(len(s.current))]
	s.mu.Unlock()
	n, err := r.fetch(ctx, path, byteRange, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.disturbed[r] {
		s.unexpected = append(s.unexpected, fmt.Errorf("%s of %s after %d bytes: %w", byteRange, path, n, err))
	}
	return n, err
}

func (r *replica) fetch(ctx context.Context, path, byteRange string, to io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(path), nil)
	if err != nil {
		return 0, err
	}
	want := http.StatusOK
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
		want = http.StatusPartialContent
	}
	for _, mediaType := range upstreamtest.ManifestTypes() {
		req.Header.Add("Accept", mediaType)
	}
	resp, err := patient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return 0, fmt.Errorf("GET %s %s: %s", path, byteRange, resp.Status)
	}
	return io.Copy(to, resp.Body)
}

// retry calls try until it succeeds, ctx ends, or the bytes are wrong.
func (c *retryingClient) retry(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil || errors.Is(err, errWrong) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last error: %w", ctx.Err(), err)
		case <-time.After(100*time.Millisecond + time.Duration(c.random.Int64N(int64(400*time.Millisecond)))):
		}
	}
}
