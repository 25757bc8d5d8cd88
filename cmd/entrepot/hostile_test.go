package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	hostileFills = 32 << 20 // bytes of ENTREPOT_FILL_MEMORY
	hostileCache = 16 << 20 // bytes of ENTREPOT_MANIFEST_CACHE
	// hostileLimit is the memory that docs/operations.md gives for a replica, plus 50 MiB for the runtime and the kernel.
	hostileLimit = hostileFills + 2*hostileCache + 32<<20 + 30<<20 + 50<<20
)

// hostileWorld has a hostile upstream and the folder in which replicas with little memory store its content.
type hostileWorld struct {
	upstream *upstreamtest.Registry
	folder   string
}

func newHostileWorld(t *testing.T) *hostileWorld {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		testenv.NotRun(t, "cannot measure the program's memory: %v", err)
	}
	return &hostileWorld{upstreamtest.Start(t, upstreamtest.Options{}), t.TempDir()}
}

func (w *hostileWorld) start(t *testing.T, env ...string) *replica {
	t.Helper()
	addr, admin := testenv.FreeAddr(t, "127.0.0.1"), testenv.FreeAddr(t, "127.0.0.1")
	env = append([]string{
		"ENTREPOT_LISTEN=" + addr, "ENTREPOT_ADMIN_LISTEN=" + admin, "ENTREPOT_LOG_FORMAT=json",
		"ENTREPOT_STORE=file:" + w.folder, "ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL(),
		"ENTREPOT_SEGMENT_SIZE=5MiB", fmt.Sprint("ENTREPOT_FILL_MEMORY=", hostileFills), fmt.Sprint("ENTREPOT_MANIFEST_CACHE=", hostileCache),
	}, env...)
	r := &replica{program{testenv.StartProgram(t, env...), addr}, admin}
	r.WaitHTTP(t, r.url("/readyz"))
	return r
}

// staysSmall fails the test if the replica's peak memory exceeds hostileLimit.
func (r *replica) staysSmall(t *testing.T) {
	t.Helper()
	peak := r.PeakMemory(t)
	t.Logf("peak RSS %.1f MiB, want at most %.1f MiB", float64(peak)/(1<<20), float64(hostileLimit)/(1<<20))
	if os.Getenv("ENTREPOT_TEST_RACE") == "" { // the race detector needs several times as much
		assert.LessOrEqual(t, peak, int64(hostileLimit))
	}
}

// visitAll requests all paths concurrently and repeats each request until its status is 200. The replica may respond with
// 503 if it has no free memory, and with 504 if the test's upstream is slow on a busy machine.
func (r *replica) visitAll(t *testing.T, paths []string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, path := range paths {
		wg.Go(func() {
			for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
				statuses := r.visit(t, 1, []string{path})
				if statuses[200] == 1 {
					return
				}
				if statuses[503]+statuses[504] != 1 || time.Now().After(deadline) {
					t.Errorf("%s has status %v", path, statuses)
					return
				}
			}
		})
	}
	wg.Wait()
}

// veryPatient waits even for a test's upstream that encodes large documents on a busy machine.
var veryPatient = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

// visit requests all paths with a number of concurrent clients and counts the responses by status. Failed requests and
// incomplete responses count as status -1.
func (r *replica) visit(t *testing.T, clients int, paths []string) map[int]int {
	t.Helper()
	var mu sync.Mutex
	statuses := map[int]int{}
	queue := make(chan string)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for path := range queue {
				status := -1
				if resp, err := veryPatient.Get(r.url(path)); err == nil {
					if _, err := io.Copy(io.Discard, resp.Body); err == nil {
						status = resp.StatusCode
					}
					resp.Body.Close()
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	for _, path := range paths {
		queue <- path
	}
	close(queue)
	wg.Wait()
	return statuses
}

// manifests adds n different manifests to the upstream and returns their paths.
func (w *hostileWorld) manifests(n int, body func(i int) string) (paths []string) {
	for i := range n {
		d := w.upstream.Manifest(fillRepo, "", v1.MediaTypeImageManifest, []byte(body(i)))
		paths = append(paths, "/v2/"+fillRepo+"/manifests/"+d.Digest.String())
	}
	return paths
}

const large = 8<<20 - 1000 // bytes, slightly below the limit for a manifest

// padded returns before, as many repetitions of text as fit into size bytes, and after.
func padded(before, text, after string, size int) string {
	return before + strings.Repeat(text, (size-len(before)-len(after))/len(text)) + after
}

func TestHostileManifestsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	r := w.start(t)
	var all []string
	for name, body := range map[string]func(i int) string{
		"empty layers": func(i int) string { return padded(fmt.Sprintf(`{"n":%d,"layers":[`, i), "{},", "{}]}", large) },
		"fields":       func(i int) string { return padded(fmt.Sprintf(`{"n":%d`, i), `,"a":{}`, "}", large) },
		"repeated layers field": func(i int) string {
			return padded(fmt.Sprintf(`{"n":%d`, i), `,"layers":[{"digest":"sha256:x","size":1}]`, "}", large)
		},
		"depth": func(i int) string { return padded(fmt.Sprintf(`{"n":%d,"layers":`, i), "[", "", large) },
		"invalid UTF-8": func(i int) string {
			return padded(fmt.Sprintf(`{"n":%d,"layers":[{"digest":"`, i), "\xff", `"}]}`, large)
		},
		"long field name": func(i int) string { return padded(fmt.Sprintf(`{"n":%d,"`, i), "x", `":1}`, large) },
		"long digest": func(i int) string {
			return padded(fmt.Sprintf(`{"n":%d,"blobs":[{"size":1,"digest":"`, i), "x", `"}]}`, 4<<20)
		},
	} {
		t.Run(name, func(t *testing.T) {
			paths := w.manifests(5, body)
			assert.Equal(t, map[int]int{200: 5}, r.visit(t, 5, paths))
			r.staysSmall(t)
			all = append(all, paths...)
		})
	}
	again := w.start(t) // reads the manifests from the folder
	assert.Equal(t, map[int]int{200: len(all)}, again.visit(t, 5, all))
	again.staysSmall(t)
}

func TestHostileDigestsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	paths := w.manifests(60, func(i int) string {
		return padded(fmt.Sprintf(`{"blobs":[{"size":1,"digest":"%d`, i), "x", `"}]}`, 4<<20)
	})
	r := w.start(t)
	assert.Equal(t, map[int]int{200: 60}, r.visit(t, 4, paths))
	r.staysSmall(t)
}

func TestHostileListsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	image := w.upstream.Image(fillRepo, "1", 100)
	r := w.start(t)
	n := 0
	for name, body := range map[string]string{
		"empty tags":        padded(`{"name":"x","tags":[`, `"",`, `""]}`, 4<<20-1000),
		"distinct tags":     manyTags(4<<20 - 1000),
		"equal tags":        padded(`{"name":"x","tags":[`, `"a",`, `"b"]}`, large),
		"depth":             padded(`{"tags":`, `[`, ``, large),
		"empty descriptors": padded(`{"manifests":[`, `{},`, `{}]}`, large),
		"short descriptors": padded(`{"manifests":[`, `{"digest":"a"},`, `{"digest":"b"}]}`, 4<<20-1000),
		"without digests":   padded(`{"manifests":[`, `{"artifactType":"a/b"},`, `{"digest":"b"}]}`, large),
		"fields":            padded(`{"tags":[],"manifests":[]`, `,"a":1`, `}`, large),
		"errors":            padded(`{"errors":[`, `{},`, `{}]}`, large),
	} {
		t.Run(name, func(t *testing.T) {
			w.upstream.Faults.Set(
				upstreamtest.Fault{Kind: upstreamtest.Tags, Body: []byte(body)}, upstreamtest.Fault{Kind: upstreamtest.Referrers, Body: []byte(body)},
			)
			var paths []string
			for range 2 {
				n++
				d := digest.FromString(fmt.Sprint(n))
				paths = append(paths, fmt.Sprintf("/v2/library/app%d/tags/list", n), fmt.Sprintf("/v2/library/app%d/tags/list?n=1", n),
					"/v2/"+fillRepo+"/referrers/"+d.String(), "/v2/"+fillRepo+"/referrers/"+d.String()+"?artifactType=a/b")
			}
			t.Log(r.visit(t, 8, paths))
			r.staysSmall(t)
		})
	}
	w.upstream.Faults.Clear()
	status, body, err := r.program.get(t, "/v2/"+fillRepo+"/manifests/1")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, image.Body, body)
}

// manyTags returns a list of as many distinct tags as fit into size bytes.
func manyTags(size int) string {
	var b strings.Builder
	b.WriteString(`{"name":"x","tags":["x"`)
	for i := 0; b.Len() < size-20; i++ {
		fmt.Fprintf(&b, `,"%x"`, i)
	}
	return b.String() + "]}"
}

func TestHostileRecordsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	store, err := fs.Open(w.folder)
	require.NoError(t, err)
	put := func(key, contentType, body string) {
		t.Helper()
		_, err := store.Put(t.Context(), key, strings.NewReader(body), int64(len(body)), backend.PutOptions{ContentType: contentType})
		require.NoError(t, err)
	}
	var paths []string
	for i := range 8 {
		repo := fmt.Sprintf("library/app%d", i)
		w.upstream.Image(repo, "1", 100)
		d := digest.FromString(repo)
		put(layout.Public.TagList("docker.io", repo), "", padded(`{"name":"x","tags":[`, `"",`, `""]}`, large))
		put(layout.Public.ReferrerList("docker.io", repo, d), "", padded(`{"index":{},"manifests":[`, `{},`, `{}]}`, large))
		put(layout.Public.Tag("docker.io", repo, "1"), "", padded(`{"digest":"`+d.String()+`","mediaType":"`, "x", `"}`, 60<<10))
		put(layout.Public.Manifest(d), strings.Repeat("x", 50<<10), repo)
		b := w.upstream.Blob(repo, upstreamtest.Random(uint64(i), 6<<20))
		put(layout.Public.FillLease(b), "", padded(`{"epoch":"x","state":{"stored":[`, `{},`, `{}]},"before":[""]}`, 4<<20))
		paths = append(paths, "/v2/"+repo+"/tags/list", "/v2/"+repo+"/tags/list?n=2", "/v2/"+repo+"/referrers/"+d.String(),
			"/v2/"+repo+"/manifests/1", "/v2/"+repo+"/manifests/"+d.String(), "/v2/"+repo+"/blobs/"+b.String())
	}
	r := w.start(t)
	statuses := r.visit(t, 12, paths)
	t.Log(statuses)
	assert.NotContains(t, statuses, -1)
	r.staysSmall(t)
}

// slowly requests a path and reads one byte of the response per second until the test ends. It counts in cut when the
// server closes the connection.
func (r *replica) slowly(t *testing.T, path string, cut *atomic.Int64) {
	t.Helper()
	dialer := net.Dialer{Control: smallWindow}
	conn, err := dialer.Dial("tcp", r.addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, r.addr)
	require.NoError(t, err)
	go func() {
		in := bufio.NewReaderSize(conn, 16)
		for {
			if _, err := in.ReadByte(); err != nil {
				cut.Add(1)
				return
			}
			time.Sleep(time.Second)
		}
	}()
}

func TestSlowReadersShareList(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	w.upstream.Image(fillRepo, "1", 100)
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Tags, Body: []byte(padded(`{"name":"x","tags":[`, `"12345678",`, `"b"]}`, large))})
	r := w.start(t)
	var cut atomic.Int64
	for range 200 {
		r.slowly(t, "/v2/"+fillRepo+"/tags/list", &cut)
	}
	assert.Equal(t, map[int]int{200: 4}, r.visit(t, 2, slices.Repeat([]string{"/v2/" + fillRepo + "/tags/list"}, 4)))
	assert.Zero(t, cut.Load())
	r.staysSmall(t)
}

func TestManyLargeManifestsArrive(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	paths := w.manifests(40, func(i int) string { return padded(fmt.Sprintf(`{"n":%d,"a":"`, i), "x", `"}`, large) })
	r := w.start(t)
	r.visitAll(t, paths)
	r.staysSmall(t)
}

func TestSlowReadersDoNotStarveOthers(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	paths := w.manifests(25, func(i int) string { return padded(fmt.Sprintf(`{"n":%d,"a":"`, i), "x", `"}`, large) })
	image := w.upstream.Image(fillRepo, "1", 100)
	r := w.start(t)
	var cut atomic.Int64
	for _, path := range paths[:24] {
		r.slowly(t, path, &cut)
	}
	// Small manifests are served immediately, large ones once slow readers are cut off.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	status, body, err := r.program.get(t, "/v2/"+fillRepo+"/manifests/1")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status, "%.200s", body)
	assert.True(t, bytes.Equal(image.Body, body))
	for {
		resp, err := veryPatient.Get(r.url(paths[24]))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		if resp.StatusCode == http.StatusOK {
			break
		}
		if resp.StatusCode != http.StatusGatewayTimeout { // the test's upstream is slow on a busy machine
			require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			require.NotEmpty(t, resp.Header.Get("Retry-After"))
		}
		require.NoError(t, ctx.Err(), "large manifest not served within 3 minutes")
	}
	assert.Positive(t, r.metric(t, "entrepot_readers_cut_total"))
	r.staysSmall(t)
}

func TestHostileErrorsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	w.upstream.Image(fillRepo, "1", 100)
	w.upstream.Faults.Set(upstreamtest.Fault{
		Status: http.StatusNotFound, Body: []byte(padded(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"`, "x", `"}]}`, 60<<10)),
	})
	r := w.start(t)
	var paths []string
	for i := range 2000 {
		paths = append(paths, "/v2/"+fillRepo+"/manifests/"+digest.FromString(fmt.Sprint(i)).String())
	}
	assert.Equal(t, map[int]int{404: 2000}, r.visit(t, 16, paths))
	r.staysSmall(t)
	log, err := os.Stat(r.Log)
	require.NoError(t, err)
	assert.Less(t, log.Size(), int64(2000*2000))
}
