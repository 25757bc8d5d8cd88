package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// byHops makes a replica redirect on a miss.
const byHops = "ENTREPOT_MISS=redirect"

// hop sends a request for a path, or for a URL of another replica, to r. The response must start within 20 s.
func (r *replica) hop(t *testing.T, at string) *http.Response {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	client := &http.Client{
		Transport:     patient.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(r.url(u.RequestURI()))
	require.NoError(t, err)
	resp.Body.Close()
	return resp
}

// nextHop returns the URL of a redirect, which must equal the requested one except for the counter.
func nextHop(t *testing.T, resp *http.Response, hops int) string {
	t.Helper()
	require.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	next, err := resp.Location()
	require.NoError(t, err)
	require.Equal(t, resp.Request.URL.Host, next.Host)
	require.Equal(t, resp.Request.URL.Path, next.Path)
	require.Equal(t, fmt.Sprint(hops), next.Query().Get("hop"))
	return next.String()
}

func TestHopsLeadToBucketThroughAnyReplica(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]bool{"both live": false, "first is killed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			blob := w.blob(1, 5*fillSegment+5)
			open := w.gate(t, 12<<20)
			first, second := w.start(t, byHops), w.start(t, byHops)
			next := nextHop(t, first.hop(t, blob.path()+"?ns=docker.io"), 1)
			flight := int64(0)
			if dies {
				open()
				waitFor(t, "a stored segment", func() bool { return w.bucket.stored(t, blob) > 0 })
				first.Kill()
				flight = w.inFlight(t, blob)
			}
			time.AfterFunc(time.Second, open)
			resp := second.hop(t, next)
			for hops := 2; hops < 5 && resp.Header.Get("Cache-Control") == "no-store"; hops++ {
				resp = second.hop(t, nextHop(t, resp, hops))
			}
			stored, err := resp.Location()
			require.NoError(t, err)
			assert.NotEqual(t, second.addr, stored.Host)
			content, err := patient.Get(stored.String())
			require.NoError(t, err)
			defer content.Body.Close()
			assert.Equal(t, blob.digest.String(), digestOfReader(t, content.Body))
			assert.LessOrEqual(t, w.sent(blob), blob.size()+flight)
			w.isWhole(t, blob)
			w.noViolation(t)
		})
	}
}

// waits requests a cold blob, waits until its fill has started, and returns a channel for the response.
func (w *cluster) waits(t *testing.T, r *replica, b coldBlob) <-chan *http.Response {
	t.Helper()
	answer := make(chan *http.Response, 1)
	go func() { answer <- r.hop(t, b.path()) }()
	waitFor(t, "start of the fill", func() bool { return len(w.bucket.keys(t, b.fillPrefix())) > 0 })
	return answer
}

func TestSIGTERMOnCloudRunExitsWithinTenSeconds(t *testing.T) {
	t.Parallel()
	const byStream = "ENTREPOT_MISS=stream"
	atOnce(t, 3, map[string]ending{
		"idle":                          {},
		"waiting client":                {miss: byHops},
		"client that reads nothing":     {miss: byStream},
		"slow segments":                 {miss: byHops, speed: 50 << 10},
		"waiting client, store hangs":   {miss: byHops, storeHangs: true},
		"streaming client, store hangs": {miss: byStream, storeHangs: true},
	}, func(t *testing.T, e ending) {
		server := sharedMinIO(t)
		if e.storeHangs {
			server = testenv.StartMinIO(t)
		}
		w := newClusterOn(t, server)
		blob := w.blob(1, 8*fillSegment+5)
		open := w.gate(t, e.speed)
		r := w.start(t, "K_SERVICE=mirror", e.miss)
		var waiting <-chan *http.Response
		switch e.miss {
		case byHops:
			waiting = w.waits(t, r, blob)
		case byStream:
			r.getFrom(t, blob, 0, 1).headers(t)
		}
		if e.speed > 0 {
			open()
			waitFor(t, "bytes of a segment", func() bool { return w.sent(blob) > 0 })
		}
		if e.storeHangs {
			server.Process.Signal(t, syscall.SIGSTOP)
		}
		r.Signal(t, syscall.SIGTERM)
		signaled := time.Now()
		if waiting != nil {
			nextHop(t, <-waiting, 1)
			t.Logf("waiting client redirected %.1f s after SIGTERM", time.Since(signaled).Seconds())
		}
		code := r.Wait(t, 10*time.Second)
		t.Logf("ended with %d %.1f s after SIGTERM", code, time.Since(signaled).Seconds())
	})
}

type ending struct {
	miss       string
	speed      int64 // of each of the leader's connections, in bytes per second; 0 means no bytes
	storeHangs bool
}
