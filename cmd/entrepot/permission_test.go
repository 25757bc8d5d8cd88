package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestReadyzNamesMissingPermission(t *testing.T) {
	t.Parallel()
	server := sharedBucket(t)
	upstream := testenv.StartRegistry(t, "127.0.0.2")
	for kind, store := range map[string]func(*testenv.S3) []string{"minio": minioStore, "s3": s3Store} {
		for _, removed := range append([]string{""}, backendtest.Actions...) {
			t.Run(fmt.Sprintf("%s without %q", kind, removed), func(t *testing.T) {
				t.Parallel()
				actions := slices.DeleteFunc(slices.Clone(backendtest.Actions), func(a string) bool { return a == removed })
				v := server.Permitted(t, backendtest.Policy(bucket, actions))
				p := start(t, append(asKeys(t, v), append(store(server)[2:], "ENTREPOT_UPSTREAMS=corp="+upstream.URL())...)...)
				p.WaitUntil(t, "answers", func() error { return answers(p.url("/v2/"), http.StatusOK) })

				status, said, _ := p.get(t, "/readyz")
				if removed == "" {
					assert.Equal(t, http.StatusOK, status, "%s", said)
					assert.Equal(t, "ready\n", string(said))
					path, digest := pushBlob(t, upstream, "app", 1000)
					p.getBlob(t, path, digest)
					return
				}
				assert.Equal(t, http.StatusServiceUnavailable, status)
				t.Logf("%s", said)
				want := removed + " is not permitted on arn:aws:s3:::" + bucket
				assert.Contains(t, string(said), want)
				assert.Equal(t, 1, strings.Count(string(said), "\n"), "one line: %q", said)
				p.get(t, "/readyz")
				assert.Equal(t, 1, strings.Count(p.Output(t), want), "logged more than once")
			})
		}
	}
}

func TestRevokedPermissionIsReportedWhileServing(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	var revoked atomic.Bool
	pass := backendtest.Proxy(t, w.bucket.server.Endpoint, func(*http.Request) {})
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && revoked.Load() {
			rw.WriteHeader(http.StatusForbidden)
			fmt.Fprint(rw, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
			return
		}
		pass.ServeHTTP(rw, r)
	}))
	t.Cleanup(proxy.Close)
	r := w.start(t, "ENTREPOT_STORE=minio+"+proxy.URL+"/"+w.bucket.name)
	_, said, _ := r.program.get(t, "/readyz")
	require.Equal(t, "ready\n", string(said))
	first := w.blob(1, 1000)
	r.getBlob(t, first.path(), first.digest.String())

	revoked.Store(true)
	blob := w.blob(2, 3*fillSegment) // the fill deletes its segments
	r.getBlob(t, blob.path(), blob.digest.String())
	waitFor(t, "refusal in /readyz", func() bool {
		status, said, _ := r.program.get(t, "/readyz")
		require.Equal(t, http.StatusOK, status, "%s", said)
		return strings.HasPrefix(string(said), "ready, but ") &&
			strings.Contains(string(said), "s3:DeleteObject is not permitted on arn:aws:s3:::"+w.bucket.name+"/"+blob.fillPrefix())
	})
	waitFor(t, "refusal in the log", func() bool {
		return strings.Contains(r.Output(t), "s3:DeleteObject is not permitted")
	})
}
