package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestBurstAtStartIsServed(t *testing.T) {
	t.Parallel()
	const clients = 200
	w := newCluster(t)
	image := w.upstream.Image(fillRepo, "1", 100_000)
	blob := w.blob(1, 2*fillSegment+5)
	paths := []string{"/v2/", "/v2/" + fillRepo + "/manifests/1", "/v2/" + fillRepo + "/blobs/" + image.Layers[0].Digest.String(), blob.path()}
	r := w.begin(t, byHops)
	connected := make(chan struct{}) // closed by the first connected client; later ones must not be refused
	var first sync.Once
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			path := paths[i%len(paths)]
			for {
				listens := isClosed(connected)
				resp, err := http.Get(r.url(path))
				refused := errors.Is(err, syscall.ECONNREFUSED)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if !refused {
					first.Do(func() { close(connected) })
				}
				if refused && !listens {
					time.Sleep(time.Millisecond)
					continue
				}
				if assert.NoError(t, err, path) {
					assert.Equal(t, http.StatusOK, resp.StatusCode, path)
				}
				return
			}
		})
	}
	wg.Wait()
	assert.Equal(t, blob.size(), w.sent(blob))
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// startUnableToWrite starts the program with a file size limit of 0. Its home, working and temporary directory is folder,
// which shows the files that it leaves.
func startUnableToWrite(folder string) func(t testing.TB, path string, env ...string) *testenv.Process {
	return func(t testing.TB, path string, env ...string) *testenv.Process {
		t.Helper()
		// Its output goes through a pipe, since the log is a file.
		const script = `cd "$1" && (ulimit -f 0 && exec "$0" serve) 2>&1 | cat`
		env = append(env, "HOME="+folder, "TMPDIR="+folder)
		return testenv.Start(t, "entrepot", env, "sh", "-c", script, path, folder)
	}
}

func TestNothingWrittenToDiskWithBucket(t *testing.T) {
	t.Parallel()
	server := sharedMinIO(t)
	for name, url := range map[string]string{"minio": "minio+" + server.Endpoint + "/", "s3": "s3://"} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			w := newCluster(t)
			w.store = append(s3Store(server), "ENTREPOT_STORE="+url+w.bucket.name)
			image := w.upstream.Image(fillRepo, "1", 100_000)
			blob := w.blob(1, 8*fillSegment+5)
			r := w.beginBy(t, startUnableToWrite(folder), "ENTREPOT_FILL_MEMORY=10MiB")
			r.WaitHTTP(t, r.url("/readyz"))
			for _, path := range []string{"/v2/" + fillRepo + "/manifests/1", "/v2/" + fillRepo + "/blobs/" + image.Config.Digest.String()} {
				status, _, err := r.program.get(t, path)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, status, path)
			}
			r.get(t, blob).complete(t)
			r.get(t, blob).complete(t) // from the bucket
			left, err := os.ReadDir(folder)
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
	t.Run("folder", func(t *testing.T) { // shows that the limit works
		w := newCluster(t)
		w.store = []string{"ENTREPOT_STORE=file:" + t.TempDir()}
		r := w.beginBy(t, startUnableToWrite(t.TempDir()))
		r.WaitUntil(t, "answers", func() error { return answers(r.url("/v2/"), http.StatusOK) })
		status, said, err := r.program.get(t, w.blob(1, 100).path())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, "%s", said)
		var passed []logLine
		waitFor(t, "the event of a blob that could not be stored", func() bool {
			passed = r.logged(t, "blob passed through")
			return len(passed) > 0
		})
		require.Len(t, passed, 1)
		assert.Contains(t, fmt.Sprint(passed[0]), syscall.EFBIG.Error())
	})
}
