//go:build e2e

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// A client pulls images through a load balancer, with the behavior of a real client.
type client struct {
	name     string
	behavior behavior
	balancer *balancer
	http     *http.Client
	random   *rand.Rand
	journal  *journal
	stats    *stats
}

// newClient returns a client that connects from address, which is nearClients or farClients.
func newClient(name string, behavior behavior, balancer *balancer, address string, random *rand.Rand, j *journal, s *stats) *client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &client{
		name: name, behavior: behavior, balancer: balancer, random: random, journal: j, stats: s,
		http: &http.Client{Transport: &http.Transport{
			DialContext:           dialer.DialContext,
			ResponseHeaderTimeout: 30 * time.Second, // as in containerd since 2.3
			DisableCompression:    true,
		}},
	}
}

var (
	// errCorrupt means that a response was complete but wrong. No fault may cause it.
	errCorrupt = errors.New("complete but wrong")
	// errRefused means that the response denied access or that the content exists.
	errRefused = errors.New("refused")
)

// permanent reports whether a client would not retry after err.
func permanent(err error) bool { return errors.Is(err, errCorrupt) || errors.Is(err, errRefused) }

// A statusError is a response with an unexpected status.
type statusError struct {
	status   int
	host     string
	redirect bool // the bucket sent it
	text     string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("status %d from %s: %.300q", e.status, e.host, e.text)
}

// get requests a path of the registry once, starting at offset. The response has status 200, or 206 if offset is not 0.
func (c *client) get(ctx context.Context, path string, offset int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.balancer.addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.name)
	want := http.StatusOK
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		want = http.StatusPartialContent
	}
	for _, mediaType := range upstreamtest.ManifestTypes() {
		req.Header.Add("Accept", mediaType)
	}
	began := time.Now()
	c.stats.requests.Add(1)
	resp, err := c.http.Do(req)
	if err != nil {
		c.stats.failed.Add(1)
		return nil, err
	}
	if resp.StatusCode == want {
		c.stats.responded(time.Since(began))
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // part of the explanation is better than none
	c.stats.status(resp.StatusCode)
	status := &statusError{resp.StatusCode, resp.Request.URL.Host, resp.Request.Response != nil, string(text)}
	if resp.StatusCode < 500 {
		return nil, fmt.Errorf("%w: %w", errRefused, status)
	}
	return nil, status
}

// pull pulls an image. If the client gives up, pull starts the client again, as a user or the kubelet would, until ctx ends.
func (c *client) pull(ctx context.Context, img image) error {
	began := time.Now()
	have := newProgress()
	for round := 1; ; round++ {
		err := c.round(ctx, img, have)
		if err == nil {
			c.stats.pulled(time.Since(began), round)
			if round > 1 || time.Since(began) > 30*time.Second {
				c.journal.add(c.name, "pulled %s after %.1f s, in round %d", img.name(), time.Since(began).Seconds(), round)
			}
			return nil
		}
		if permanent(err) {
			return fmt.Errorf("pull %s: %w", img.name(), err)
		}
		c.journal.add(c.name, "gave up %s in round %d after %.1f s: %v", img.name(), round, time.Since(began).Seconds(), err)
		if ctx.Err() != nil || c.behavior.pause == 0 {
			return fmt.Errorf("pull %s: gave up after %d rounds and %.0f s: %w", img.name(), round, time.Since(began).Seconds(), err)
		}
		if !c.behavior.resumes {
			have = newProgress()
		}
		c.sleep(ctx, c.behavior.pause)
	}
}

func (c *client) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
