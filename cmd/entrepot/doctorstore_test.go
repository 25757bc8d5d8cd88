package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestDoctorNamesMissingPermission(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.upstream.Image("library/app", "1", 1000)
	name := w.bucket.name
	kinds := map[string][]string{
		"minio": {"ENTREPOT_STORE=minio+" + w.bucket.server.Endpoint + "/" + name},
		"s3":    {"ENTREPOT_STORE=s3://" + name, "AWS_ENDPOINT_URL=" + w.bucket.server.Endpoint, "AWS_REGION=us-east-1"},
	}
	for kind, store := range kinds {
		for _, removed := range append([]string{""}, backendtest.Actions...) {
			t.Run(fmt.Sprintf("%s without %q", kind, removed), func(t *testing.T) {
				actions := slices.DeleteFunc(slices.Clone(backendtest.Actions), func(a string) bool { return a == removed })
				all := w.examine(t, append(asKeys(t, w.bucket.server.Permitted(t, backendtest.Policy(name, actions))), store...))
				if removed == "" {
					assert.Zero(t, all.Broken, "%+v", all)
					return
				}
				found := false
				for _, c := range all.Checks {
					if c.Result == "broken" && strings.Contains(c.Detail, removed+" is not permitted on arn:aws:s3:::"+name) {
						found = true
						assert.Contains(t, c.Remedy, "allow "+removed+" on arn:aws:s3:::"+name)
					}
				}
				assert.True(t, found, "%+v", all)
			})
		}
	}
}

// throughProxy puts a proxy with quirks in front of the store, and returns what doctor finds.
func (w *cluster) throughProxy(t *testing.T, quirks ...*quirk) checks {
	t.Helper()
	return w.examine(t, []string{"ENTREPOT_STORE=" + behindProxy(t, w, quirks...)})
}

func anyRequest(*http.Request) bool { return true }

// dated is a response whose Date is off.
type dated struct {
	http.ResponseWriter
	by time.Duration
}

func (d dated) WriteHeader(status int) {
	d.Header().Set("Date", time.Now().Add(d.by).UTC().Format(http.TimeFormat))
	d.ResponseWriter.WriteHeader(status)
}

// off changes the store's clock in its responses.
func off(by time.Duration) *quirk {
	return &quirk{matches: anyRequest, respond: func(_ *testenv.S3, next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { next.ServeHTTP(dated{rw, by}, r) })
	}}
}

func TestDoctorFindsWhatTheStoreLacks(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.upstream.Image("library/app", "1", 1000)
	w.throughProxy(t, &quirk{matches: conditional, respond: ignoring}).has(t, "conditional writes", "warning", "accepted and ignored")
	all := w.throughProxy(t, &quirk{matches: conditional, respond: refusing}, &quirk{matches: copying, respond: refusing})
	all.has(t, "conditional writes", "warning", "conditional writes are refused")
	all.has(t, "copies", "warning", "entrepot works without")
	w.throughProxy(t, off(time.Minute)).has(t, "clock", "warning", "differ by")
	w.throughProxy(t, off(-time.Hour)).has(t, "clock", "broken", "NTP")

	quoted := func(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("If-Match"), `"`) }
	failing := func(*testenv.S3, http.Handler) http.Handler { // as Ceph RGW 16 does
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusPreconditionFailed)
			fmt.Fprint(rw, "<Error><Code>PreconditionFailed</Code></Error>")
		})
	}
	w.throughProxy(t, &quirk{matches: quoted, respond: failing}).has(t, "conditional writes", "ok", "only without quotes")

	unchecked := &quirk{
		matches: func(r *http.Request) bool { return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "-sum") },
		respond: func(*testenv.S3, http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("ETag", `"x"`) })
		},
	}
	w.throughProxy(t, unchecked).has(t, "checksums", "warning", "was stored")

	w.examine(t, []string{"ENTREPOT_STORE=minio+" + w.bucket.server.Endpoint + "/no-such-bucket"}).has(t, "reachable", "broken", "create the bucket")
	w.examine(t, []string{"AWS_SECRET_ACCESS_KEY=wrong"}).has(t, "reachable", "broken", "correct the credentials")
	w.examine(t, []string{"ENTREPOT_STORE=minio+http://" + testenv.FreeAddr(t, "127.0.0.1") + "/images"}).has(t, "reachable", "broken", "connection refused")
	w.examine(t, []string{"ENTREPOT_STORE=file:/proc/entrepot"}).has(t, "settings", "broken", "cannot use the folder")
}

func TestDoctorFindsWhatIsWrongWithRedirects(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.upstream.Image("library/app", "1", 1000)
	target, err := url.Parse(w.bucket.server.Endpoint)
	require.NoError(t, err)
	forward := func(change func(*http.Request)) http.Handler {
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
			change(r.Out)
		}}
	}
	public := func(h http.Handler) checks {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return w.examine(t, []string{"ENTREPOT_STORE_PUBLIC_ENDPOINT=" + server.URL})
	}
	all := public(forward(func(*http.Request) {}))
	assert.Zero(t, all.Broken, "%+v", all)

	public(http.NotFoundHandler()).has(t, "GET", "broken", "404 Not Found")
	public(forward(func(r *http.Request) { r.Host = target.Host })).has(t, "GET", "broken", "403 SignatureDoesNotMatch")
	public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).has(t, "GET", "broken", "other bytes")
	public(forward(func(r *http.Request) { r.Header.Del("Range") })).has(t, "Range", "warning", "200 OK in place of 206")
	public(&careless{next: forward(func(*http.Request) {})}).has(t, "expiry", "warning", "is answered 20")

	w.examine(t, []string{"ENTREPOT_STORE_PUBLIC_ENDPOINT=http://" + testenv.FreeAddr(t, "127.0.0.1")}).has(t, "GET", "broken", "ENTREPOT_STORE_PUBLIC_ENDPOINT")
	w.examine(t, []string{"ENTREPOT_STORE_PUBLIC_ENDPOINT=https://s3.invalid"}).has(t, "address", "broken", "DNS record")
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	w.examine(t, []string{"ENTREPOT_STORE_PUBLIC_ENDPOINT=" + secure.URL}).has(t, "GET", "broken", "certificate")
}

// careless is a cache that ignores the query, and with it the signature.
type careless struct {
	next http.Handler
	mu   sync.Mutex
	kept map[string][]byte // by path
}

func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if body, ok := c.kept[r.URL.Path]; ok {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		return
	}
	response := httptest.NewRecorder()
	c.next.ServeHTTP(response, r)
	if response.Code == http.StatusOK {
		if c.kept == nil {
			c.kept = map[string][]byte{}
		}
		c.kept[r.URL.Path] = response.Body.Bytes()
	}
	w.WriteHeader(response.Code)
	_, _ = w.Write(response.Body.Bytes())
}

func TestDoctorFindsAFullDisk(t *testing.T) {
	t.Parallel()
	disk := testenv.TmpFS(t, "size=16m")
	w := withFolder(t, upstreamtest.Options{})
	store := []string{"ENTREPOT_STORE=file:" + disk + "/store"}
	all := w.examine(t, store)
	all.has(t, "disk", "warning", "are free in "+disk)
	assert.Zero(t, all.Broken, "%+v", all)

	file, err := os.Create(filepath.Join(disk, "other"))
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	_, err = io.Copy(file, neverending{})
	require.ErrorIs(t, err, syscall.ENOSPC)
	all = w.examine(t, store)
	all.has(t, "disk", "broken", "0B of 16MiB are free")
	all.has(t, "write", "broken", "the store is full")

	require.NoError(t, file.Truncate(0))
	require.NoError(t, file.Close())
	testenv.Remount(t, disk, "ro")
	w.examine(t, store).has(t, "write", "broken", "make the store writable")
}

// neverending is a reader of zeros.
type neverending struct{}

func (neverending) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
