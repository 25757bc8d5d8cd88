//go:build e2e

package cluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// A behavior is how a kind of client handles failures. The behaviors below follow the clients' sources.
type behavior struct {
	name    string
	request func(ctx context.Context, c *client, get func() (*http.Response, error)) (*http.Response, error)
	blob    func(ctx context.Context, c *client, b *blobProgress) error
	program func(ctx context.Context, c *client, img image) error // runs a real program instead of request and blob
	pause   time.Duration                                         // until the client is started again after it gave up; 0: never
	resumes bool                                                  // keeps the bytes of a failed pull for the next round
}

// docker behaves like moby's daemon (distribution/pull_v2.go, distribution/xfer/download.go). It requests a manifest once.
// It tries a layer five times in all, however many bytes each try brings, with pauses of 5, 10, 15 and 20 s, and resumes
// at the last byte. It keeps complete layers.
var docker = behavior{
	name: "docker", pause: 10 * time.Second, resumes: true,
	request: once,
	blob: func(ctx context.Context, c *client, b *blobProgress) error {
		for try := time.Duration(1); ; try++ {
			_, err := c.fetch(ctx, b)
			if err == nil || permanent(err) || try == 5 || ctx.Err() != nil {
				return err
			}
			c.countRetry(b, err)
			c.sleep(ctx, try*5*time.Second)
		}
	},
}

// containerd behaves like containerd 2.4 (core/remotes/docker/resolver.go and httpreadseeker.go). It tries five times if
// a response times out or the connection ends, and retries once after a 500, 503 or 504. It resumes a short body immediately,
// unless three tries in a row brought no bytes. Any other failure ends the pull. The kubelet starts it again after 10 s,
// and containerd keeps the bytes that it has.
var containerd = behavior{
	name: "containerd", pause: 10 * time.Second, resumes: true,
	request: func(ctx context.Context, c *client, get func() (*http.Response, error)) (*http.Response, error) {
		last := 0
		for tries := 5; ; {
			resp, err := get()
			tries--
			status := new(statusError)
			switch {
			case err == nil || tries == 0 || ctx.Err() != nil:
				return resp, err
			case errors.As(err, &status):
				if s := status.status; s == last || s != 500 && s != 503 && s != 504 {
					return nil, err
				}
				last = status.status
			case isTimeout(err), errors.Is(err, io.EOF), isShort(err):
				c.sleep(ctx, 50*time.Millisecond)
			default:
				return nil, err
			}
			c.stats.retries.Add(1)
		}
	},
	blob: func(ctx context.Context, c *client, b *blobProgress) error {
		for empty := 0; ; {
			n, err := c.fetch(ctx, b)
			if n > 0 {
				empty = 0
			}
			if empty++; err == nil || permanent(err) || !isShort(err) || empty > 3 || ctx.Err() != nil {
				return err
			}
			c.countRetry(b, err)
		}
	},
}

// crane behaves like go-containerregistry 0.22 (pkg/v1/remote/options.go). It tries a request three times, with pauses of
// 1 and 3 s. If a body breaks off, it fails and keeps nothing. A script is assumed to run it again.
var crane = behavior{
	name: "crane", pause: 5 * time.Second,
	request: func(ctx context.Context, c *client, get func() (*http.Response, error)) (*http.Response, error) {
		for pause := time.Second; ; pause *= 3 {
			resp, err := get()
			status := new(statusError)
			retry := isTimeout(err) || errors.Is(err, io.EOF) || isShort(err) ||
				errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.As(err, &status)
			if err == nil || permanent(err) || !retry || pause > 3*time.Second || ctx.Err() != nil {
				return resp, err
			}
			c.stats.retries.Add(1)
			c.sleep(ctx, pause)
		}
	},
	blob: func(ctx context.Context, c *client, b *blobProgress) error {
		_, err := c.fetch(ctx, b)
		return err
	},
}

// strict never retries. It is for a cluster without faults.
var strict = behavior{
	name: "strict", request: once,
	blob: func(ctx context.Context, c *client, b *blobProgress) error { _, err := c.fetch(ctx, b); return err },
}

func once(_ context.Context, _ *client, get func() (*http.Response, error)) (*http.Response, error) {
	return get()
}

// countRetry records that a client retries a blob.
func (c *client) countRetry(b *blobProgress, err error) {
	c.stats.retries.Add(1)
	c.journal.add(c.name, "retries blob %s at %d of %d: %v", short(b.Digest), b.offset, b.Size, err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
