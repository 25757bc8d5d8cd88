package mirror_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// pair is an upstream with two endpoints that have the same content. The first one fails.
type pair struct {
	first, second *upstreamtest.Registry
	image         upstreamtest.Image
}

func startPair(t *testing.T, cdn bool, layers ...int64) pair {
	t.Helper()
	p := pair{
		first:  upstreamtest.Start(t, upstreamtest.Options{CDN: cdn}),
		second: upstreamtest.Start(t, upstreamtest.Options{CDN: cdn, Host: "127.0.0.4", CDNHost: "127.0.0.5"}),
	}
	p.image = p.first.Image("library/app", "1", layers...)
	require.Equal(t, p.image.Digest, p.second.Image("library/app", "1", layers...).Digest)
	return p
}

func (p pair) replica(t *testing.T, store backend.Store) replica {
	t.Helper()
	return startReplicaWith(t, store, nil, mirror.Config{Upstreams: []*upstream.Registry{p.upstream(t)}})
}

func (p pair) upstream(t *testing.T) *upstream.Registry {
	t.Helper()
	var endpoints []*url.URL
	for _, reg := range []*upstreamtest.Registry{p.first, p.second} {
		u, err := url.Parse(reg.URL())
		require.NoError(t, err)
		endpoints = append(endpoints, u)
	}
	u, err := upstream.New(upstream.Config{
		Name: "docker.io", Endpoints: endpoints,
		Transport: upstream.NewTransport(upstream.Timeouts{Header: time.Second, IdleBody: 500 * time.Millisecond}),
	})
	require.NoError(t, err)
	return u
}

const (
	tinyLayer  = 600
	smallLayer = 1 << 20
	largeLayer = 2*backend.MinPart + 1000
)

// rubbish are bad answers of the first endpoint to a request for a layer.
func rubbish(size int64) map[string]upstreamtest.Fault {
	return map[string]upstreamtest.Fault{
		"a page":                                 {HTML: true},
		"other JSON":                             {Body: []byte(`["sign in"]`)},
		"an empty body":                          {Body: []byte{}},
		"a wrong byte":                           {Damage: upstreamtest.Corrupt, At: size / 2},
		"a wrong first byte":                     {Damage: upstreamtest.Corrupt, At: 0},
		"a wrong last byte":                      {Damage: upstreamtest.Corrupt, At: size - 1},
		"too few bytes":                          {Damage: upstreamtest.Truncate, At: size - 1},
		"half of the bytes, without a length":    {Damage: upstreamtest.Truncate, At: size / 2, IgnoreRange: true, Chunked: true},
		"too many bytes":                         {Damage: upstreamtest.Pad, At: 1},
		"another range":                          {ShiftRange: 100},
		"other bytes":                            {Damage: upstreamtest.Invert},
		"ends early as if complete":              {Damage: upstreamtest.End, At: size / 50},
		"ends at once as if complete":            {Damage: upstreamtest.End},
		"breaks off early":                       {Damage: upstreamtest.Cut, At: size / 50},
		"a wrong Content-Range":                  {Header: http.Header{"Content-Range": {"bytes 0-99/100"}}},
		"gzip":                                   {Encoding: "gzip"},
		"wrong bytes in gzip":                    {Encoding: "gzip", IgnoreRange: true, Damage: upstreamtest.Corrupt, At: size / 2},
		"falsely labeled gzip":                   {IgnoreRange: true, Header: http.Header{"Content-Encoding": {"gzip"}}},
		"breaks off at once":                     {Damage: upstreamtest.Cut, At: 0},
		"a third of the bytes, without a length": {IgnoreRange: true, Chunked: true, Damage: upstreamtest.Truncate, At: size / 3},
		"no bytes":                               {Damage: upstreamtest.Stall, At: 0},
		"an impossible size":                     {Header: http.Header{"Content-Range": {"bytes 0-0/9223372036854775807"}}},
	}
}

// readWhole returns the number of bytes received. It fails the test if a complete response is not the blob.
func (r replica) readWhole(t *testing.T, d digest.Digest, size int64) (int64, error) {
	t.Helper()
	got, n, err := r.read(t.Context(), repository(t, "app"), d)
	if err == nil {
		assert.Equal(t, d, got)
		assert.Equal(t, size, n)
	}
	return n, err
}

func TestBadFirstEndpointDoesNotHideSecond(t *testing.T) {
	for size, name := range map[int64]string{tinyLayer: "tiny", smallLayer: "small", largeLayer: "large"} {
		for what, fault := range rubbish(size) {
			for _, told := range []bool{false, true} {
				cdn := told != (name == "small") // the storage errs in half of the cases
				t.Run(name+", "+what+map[bool]string{true: ", size known", false: ""}[told], func(t *testing.T) {
					t.Parallel()
					fault, p := fault, startPair(t, cdn, size)
					d := p.image.Layers[0].Digest
					fault.Digest = d
					if cdn {
						fault.Kind = upstreamtest.CDNGet
					}
					p.first.Faults.Set(fault)
					store := newStore(t)
					a, b := p.replica(t, store), p.replica(t, store)
					if told {
						a.mustGet(t, "app", "1")
					}
					if _, err := a.readWhole(t, d, size); err != nil {
						// Bytes that a client has received cannot be taken back.
						require.ErrorIs(t, err, mirror.ErrBadBlob)
						require.Equal(t, "large", name, "smaller blobs are verified before they are sent")
					}
					for _, r := range []replica{a, b, p.replica(t, store)} {
						_, err := r.readWhole(t, d, size)
						require.NoError(t, err)
					}
				})
			}
		}
	}
}

func TestBadContentFromAllEndpointsIsAnError(t *testing.T) {
	for size, name := range map[int64]string{tinyLayer: "tiny", smallLayer: "small", largeLayer: "large"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPair(t, false, size)
			d := p.image.Layers[0].Digest
			store := newStore(t)
			r := p.replica(t, store)
			p.first.Faults.Set(upstreamtest.Fault{Digest: d, Damage: upstreamtest.Invert})
			p.second.Faults.Set(upstreamtest.Fault{Digest: d, Damage: upstreamtest.Corrupt, At: size / 2})
			for range 3 {
				n, err := r.readWhole(t, d, size)
				require.ErrorIs(t, err, mirror.ErrBadBlob)
				assert.Less(t, n, max(1, size-1000))
			}
			assert.Empty(t, keys(t, store, "public/blobs/"))
			require.Eventually(t, func() bool { return len(keys(t, store, "public/fills/")) == 0 }, 10*time.Second, 10*time.Millisecond)
			p.second.Faults.Clear()
			_, err := r.readWhole(t, d, size)
			require.NoError(t, err)
		})
	}
}

func TestWrongSizeInManifestHidesNoBlob(t *testing.T) {
	p := startPair(t, false, smallLayer)
	d := p.image.Layers[0].Digest
	for _, reg := range []*upstreamtest.Registry{p.first, p.second} {
		reg.Manifest("library/liar", "1", "application/vnd.oci.image.manifest.v1+json",
			[]byte(`{"schemaVersion":2,"layers":[{"digest":"`+d.String()+`","size":7}]}`))
	}
	for name, arm := range map[string]func(){
		"all have the blob":   func() {},
		"the origin lacks it": func() { p.second.Faults.Set(upstreamtest.Fault{Digest: d, Status: http.StatusNotFound}) },
		"the origin is down":  func() { p.second.Faults.Set(upstreamtest.Fault{Digest: d, Drop: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			arm()
			r := p.replica(t, newStore(t))
			r.mustGet(t, "liar", "1")
			size, err := r.StatBlob(t.Context(), repository(t, "app"), d)
			require.NoError(t, err)
			assert.EqualValues(t, smallLayer, size)
			_, err = r.readWhole(t, d, smallLayer)
			require.NoError(t, err)
		})
	}
}

func TestSizeComesFromEndpointThatHasTheBlob(t *testing.T) {
	p := startPair(t, false, smallLayer)
	d := p.image.Layers[0].Digest
	for name, fault := range map[string]upstreamtest.Fault{
		"a page":             {HTML: true},
		"JSON":               {Body: []byte(`["sign in"]`)},
		"an empty body":      {Body: []byte{}},
		"an impossible size": {Header: http.Header{"Content-Range": {"bytes 0-0/9223372036854775807"}}},
	} {
		t.Run(name, func(t *testing.T) {
			fault.Digest = d
			p.first.Faults.Set(fault)
			r := p.replica(t, newStore(t))
			r.mustGet(t, "app", "1")
			size, err := r.StatBlob(t.Context(), repository(t, "app"), d)
			require.NoError(t, err)
			assert.EqualValues(t, smallLayer, size)
		})
	}
}
