package main_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countedReplica is a replica behind a proxy that counts its requests to the bucket and those of its clients.
type countedReplica struct {
	*replica
	url    string
	bucket string // name

	mu      sync.Mutex
	pending int            // requests without a response yet
	passed  map[string]int // the replica's requests since its start, by method and status
	recent  counts         // since the last take
}

// counts are requests to the bucket.
type counts struct {
	replica requests
	clients requests // with presigned URLs
	// Requests of the replica whose number depends on time or random:
	renewals int // overwrites of a lease
	behind   int // reads of blobs and segments for clients that a fill has left behind
	health   int // by /readyz
}

func noCounts() counts { return counts{replica: requests{}, clients: requests{}} }

// counted starts a replica whose requests are counted. The scheme of the store selects the client library.
func (w *cluster) counted(t *testing.T, scheme string, env ...string) *countedReplica {
	t.Helper()
	server := sharedMinIO(t)
	endpoint, err := url.Parse(server.Endpoint)
	require.NoError(t, err)
	g := &countedReplica{bucket: w.bucket.name, passed: map[string]int{}, recent: noCounts()}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(endpoint)
			r.Out.Host = r.In.Host // the signature covers it
		},
		ModifyResponse: g.count,
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g.enter(1)
		defer g.enter(-1)
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(proxy.Close)
	g.url = proxy.URL
	if scheme == "s3" {
		env = append(env, "ENTREPOT_STORE=s3://"+g.bucket, "AWS_ENDPOINT_URL="+g.url, "AWS_REGION="+server.Region)
	} else {
		env = append(env, fmt.Sprintf("ENTREPOT_STORE=minio+%s/%s", g.url, g.bucket))
	}
	g.replica = w.start(t, env...)
	waitFor(t, "probe of the store", func() bool {
		return strings.Contains(g.metrics(t), `entrepot_store_ability{ability="copies"} 1`)
	})
	return g
}

func (g *countedReplica) enter(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending += n
}

func (g *countedReplica) count(resp *http.Response) error {
	r := resp.Request
	operation := operationOf(r)
	key := strings.TrimPrefix(r.URL.Path, "/"+g.bucket+"/")
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Query().Has("X-Amz-Signature") {
		g.recent.clients[operation]++
		return nil
	}
	g.passed[fmt.Sprintf("%s %d", r.Method, resp.StatusCode)]++
	switch filling := strings.HasPrefix(key, "public/fills/"); {
	case key == "ready":
		g.recent.health++
	case strings.HasPrefix(key, "public/fills/probe/"):
		g.recent.replica[operation]++
	case operation == getObject && (strings.HasPrefix(key, "public/blobs/") || filling && !strings.HasSuffix(key, "/lease")):
		g.recent.behind++
	case operation == putObject && filling && r.Header.Get("If-Match") != "":
		g.recent.renewals++
	default:
		g.recent.replica[operation]++
	}
	return nil
}

// during runs do and returns the requests that it caused. It waits for the replica's background requests: in the end all
// of the replica's requests must equal want. Later ones count for the next call.
func (g *countedReplica) during(t *testing.T, want requests, do func()) counts {
	t.Helper()
	do()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, passed := g.look(); maps.Equal(passed.replica, want) {
			break
		}
	}
	passed := g.take(t)
	assert.Equal(t, want, passed.replica)
	return passed
}

// take returns the requests since the last take. It waits until the replica's metrics show the same number of requests.
func (g *countedReplica) take(t *testing.T) counts {
	t.Helper()
	waitFor(t, "metrics that agree with the counts", func() bool {
		all, _ := g.look()
		return all != nil && maps.Equal(all, g.storeRequests(t))
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	passed := g.recent
	g.recent = noCounts()
	return passed
}

// look returns the requests since the replica's start, or nil while one is pending, and those since the last take.
func (g *countedReplica) look() (all map[string]int, recent counts) {
	g.mu.Lock()
	defer g.mu.Unlock()
	recent = g.recent
	recent.replica, recent.clients = maps.Clone(recent.replica), maps.Clone(recent.clients)
	if g.pending > 0 {
		return nil, recent
	}
	return maps.Clone(g.passed), recent
}

var storeRequest = regexp.MustCompile(`(?m)^entrepot_store_requests_total\{method="(\w+)",status="(\w+)"\} (\d+)$`)

// storeRequests returns the requests to the bucket in the replica's metrics, by method and status.
func (r *replica) storeRequests(t *testing.T) map[string]int {
	t.Helper()
	made := map[string]int{}
	for _, m := range storeRequest.FindAllStringSubmatch(r.metrics(t), -1) {
		n, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		made[m[1]+" "+m[2]] = n
	}
	return made
}
