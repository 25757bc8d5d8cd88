//go:build e2e

package cluster_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// oddRegistry is the name of the misbehaving upstream.
const oddRegistry = "odd.test"

// misbehaviors are faults seen in real upstreams, and some that a hostile upstream might produce.
var misbehaviors = map[string][]upstreamtest.Fault{
	"HEAD is 404":              heads(upstreamtest.Fault{Status: http.StatusNotFound}),
	"HEAD is 501":              heads(upstreamtest.Fault{Status: http.StatusNotImplemented}),
	"HEAD without headers":     heads(upstreamtest.Fault{Header: http.Header{"Docker-Content-Digest": nil, "Content-Length": nil}}),
	"HEAD with a wrong length": heads(upstreamtest.Fault{Header: http.Header{"Content-Length": {"12"}}}),
	"HEAD with a wrong digest": heads(upstreamtest.Fault{Header: http.Header{"Docker-Content-Digest": {digest.FromString("wrong").String()}}}),
	"sign-in page":             {{HTML: true}},
	"maintenance page":         {{HTML: true, Status: http.StatusServiceUnavailable}},
	"gzip":                     {{Encoding: "gzip"}},
	"text/plain":               {{Kind: upstreamtest.ManifestGet, Header: http.Header{"Content-Type": {"text/plain"}}}},
	"no content type":          {{Kind: upstreamtest.ManifestGet, Header: http.Header{"Content-Type": nil}}},
	"chunked":                  {{Chunked: true}},
	"ranges ignored":           {{IgnoreRange: true}},
	"ranges shifted":           {{ShiftRange: 100}},
	"corrupt bytes":            {{Damage: upstreamtest.Corrupt, At: 20}},
	"truncated":                {{Damage: upstreamtest.Truncate, At: 100}},
	"padded":                   {{Damage: upstreamtest.Pad, At: 100}},
	"cut":                      {{Damage: upstreamtest.Cut, At: 100}},
	"stall":                    {{Damage: upstreamtest.Stall, At: 100}},
	"no response":              {{Hang: true}},
	"connections dropped":      {{Drop: true}},
	"slow":                     {{BytesPerSecond: 1000}},
	"400":                      {{Status: http.StatusBadRequest}},
	"401":                      {{Status: http.StatusUnauthorized}},
	"403":                      {{Status: http.StatusForbidden}},
	"405":                      {{Status: http.StatusMethodNotAllowed}},
	"429":                      {{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}}},
	"500":                      {{Status: http.StatusInternalServerError}},
	"503":                      {{Status: http.StatusServiceUnavailable}},
	"long messages":            {{Status: http.StatusNotFound, Body: []byte(`{"errors":[{"code":"UNKNOWN","message":"` + strings.Repeat("word ", 12<<10) + `"}]}`)}},
	"control characters":       {{Status: http.StatusNotFound, Body: []byte("{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"\\u001b[2J\\u0000\"}]}")}},
	"long tokens":              {{Kind: upstreamtest.Token, Body: []byte(`{"token":"` + strings.Repeat("t", 60<<10) + `"}`)}},
	"empty layers":             {{Kind: upstreamtest.ManifestGet, Body: []byte(`{"schemaVersion":2,"layers":[` + strings.Repeat("{},", 1<<20) + `{}]}`)}},
	"deep nesting":             {{Kind: upstreamtest.ManifestGet, Body: []byte(strings.Repeat("[", 1<<20))}},
	"long digests":             {{Kind: upstreamtest.ManifestGet, Body: []byte(`{"schemaVersion":2,"blobs":[{"digest":"` + strings.Repeat("d", 4<<20) + `","size":1}]}`)}},
	"40 TB":                    blobs(upstreamtest.Fault{Header: http.Header{"Content-Range": {"bytes 0-0/40000000000000"}}, Status: http.StatusPartialContent, Body: []byte("x")}),
	"absurd size":              blobs(upstreamtest.Fault{Header: http.Header{"Content-Range": {"bytes 0-0/9223372036854775807"}}, Status: http.StatusPartialContent, Body: []byte("x")}),
	"1 TB": blobs(upstreamtest.Fault{Header: http.Header{"Content-Range": {"bytes 0-0/1000000000000"}}, Status: http.StatusPartialContent,
		Body: []byte("x")}),
	"redirect inside": {{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://169.254.169.254/latest/meta-data/"}}}},
	"bad redirect":    {{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://[::1/?sig=secret"}}}},
}

func heads(f upstreamtest.Fault) []upstreamtest.Fault {
	return of(f, upstreamtest.ManifestHead, upstreamtest.BlobHead)
}

func blobs(f upstreamtest.Fault) []upstreamtest.Fault {
	return of(f, upstreamtest.BlobGet, upstreamtest.CDNGet)
}

func of(f upstreamtest.Fault, kinds ...upstreamtest.Kind) (faults []upstreamtest.Fault) {
	for _, kind := range kinds {
		f.Kind = kind
		faults = append(faults, f)
	}
	return faults
}

// An odd upstream changes its misbehavior every second or sooner, while clients request all its content.
type odd struct {
	upstream *upstreamtest.Registry
	balancer string
	journal  *journal
	images   []upstreamtest.Image
}

// newOdd starts an odd upstream with a few images. Its addresses differ from the other upstream's.
func newOdd(t *testing.T, seed uint64) *odd {
	o := &odd{upstream: upstreamtest.Start(t, upstreamtest.Options{
		Host: "127.0.0.4", CDNHost: "127.0.0.5", Auth: true, CDN: true, Seed: seed & 0xffff,
	})}
	for i := range 8 {
		o.images = append(o.images, o.upstream.Image("odd/app", fmt.Sprint("v", i), 2000, 3<<20))
	}
	return o
}

// run makes the upstream misbehave until ctx ends.
func (o *odd) run(ctx context.Context, random *rand.Rand) {
	var names []string
	for name := range misbehaviors {
		names = append(names, name)
	}
	for ctx.Err() == nil {
		var faults []upstreamtest.Fault
		for range 1 + random.IntN(2) {
			faults = append(faults, misbehaviors[names[random.IntN(len(names))]]...)
		}
		o.upstream.Faults.Set(faults...)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(100+random.IntN(900)) * time.Millisecond):
		}
	}
	o.upstream.Faults.Clear()
}

// startClients starts clients that request random content until ctx ends. Requests may fail, but no successful response
// may have wrong bytes.
func (o *odd) startClients(t *testing.T, ctx context.Context, background *sync.WaitGroup, random func(uint64) *rand.Rand) {
	for n := range 4 {
		background.Go(func() {
			random := random(uint64(1000 + n))
			for ctx.Err() == nil {
				image := o.images[random.IntN(len(o.images))]
				path, want := "manifests/"+image.Digest.String(), image.Digest
				switch random.IntN(6) {
				case 0:
					path, want = fmt.Sprint("manifests/v", random.IntN(len(o.images))), ""
				case 1:
					path, want = "tags/list", ""
				case 2:
					path, want = "referrers/"+image.Digest.String(), ""
				case 3:
					want = image.Layers[random.IntN(2)].Digest
					path = "blobs/" + want.String()
				case 4: // a missing blob
					path, want = "blobs/"+digest.FromString(fmt.Sprint(random.Uint64())).String(), ""
				}
				o.get(t, ctx, path, want, time.Duration(500+random.IntN(20_000))*time.Millisecond)
			}
		})
	}
}

// get sends one request and returns the status, or 0 without a response. The test fails if a complete response with status
// 200 does not have the digest want.
func (o *odd) get(t *testing.T, ctx context.Context, path string, want digest.Digest, timeout time.Duration) (status int) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.balancer+"/v2/odd/app/"+path+"?ns="+oddRegistry, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK && want != "" && digest.FromBytes(body) != want {
		o.journal.fail(t, oddRegistry, "GET %s: %d bytes with digest %s", path, len(body), digest.FromBytes(body))
	}
	return resp.StatusCode
}

// pullWithoutFaults pulls all images from the recovered upstream. It retries each request for a minute, since the
// upstream may still be unavailable to entrepot.
func (o *odd) pullWithoutFaults(t *testing.T) {
	t.Helper()
	var paths = map[string]digest.Digest{}
	for i, image := range o.images {
		paths[fmt.Sprint("manifests/v", i)] = image.Digest
		for _, layer := range image.Layers {
			paths["blobs/"+layer.Digest.String()] = layer.Digest
		}
	}
	for path, want := range paths {
		status := 0
		for range 60 {
			if status = o.get(t, t.Context(), path, want, 30*time.Second); status == http.StatusOK {
				break
			}
			time.Sleep(time.Second)
		}
		if status != http.StatusOK {
			o.journal.fail(t, oddRegistry, "GET %s: status %d after the upstream recovered", path, status)
		}
	}
}
