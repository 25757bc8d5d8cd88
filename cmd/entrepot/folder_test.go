package main_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	filestore "github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// newFolderCluster returns a cluster whose store is a folder.
func newFolderCluster(t *testing.T, folder string) *cluster {
	t.Helper()
	return &cluster{
		upstream: upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true}),
		store:    []string{"ENTREPOT_STORE=file:" + folder},
		program:  testenv.Program(t),
	}
}

// fillUp fills the file system that contains the folder.
func fillUp(t *testing.T, folder string) {
	t.Helper()
	f, err := os.Create(filepath.Join(folder, "ballast"))
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

func TestUnwritableFolderIsServed(t *testing.T) {
	t.Parallel()
	for name, freeze := range map[string]func(t *testing.T, mounted string){
		"full":      fillUp,
		"read-only": func(t *testing.T, mounted string) { testenv.Remount(t, mounted, "ro") },
	} {
		t.Run(name, func(t *testing.T) {
			mounted := testenv.TmpFS(t, "size=64m")
			w := newFolderCluster(t, filepath.Join(mounted, "store"))
			blob := w.blob(1, 2*fillSegment)
			first := w.start(t)
			first.get(t, blob).complete(t)
			waitFor(t, "the blob is stored", func() bool {
				_, err := os.Stat(filepath.Join(mounted, "store", "objects", blob.key()))
				return err == nil
			})
			first.Signal(t, syscall.SIGTERM)
			require.Zero(t, first.Wait(t, time.Minute))

			freeze(t, mounted)
			second := w.begin(t)
			second.WaitUntil(t, "answers", func() error { return answers(second.url("/v2/"), http.StatusOK) })
			second.get(t, blob).complete(t)
			assert.Equal(t, blob.size(), w.sent(blob), "bytes from the upstream")
		})
	}
}

func TestAbandonedFillsInFolderAreRemoved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newFolderCluster(t, folder)
	blob := w.blob(1, 4*fillSegment)
	w.throttle(2 * fillSegment)
	r := w.start(t)
	r.get(t, blob)
	fill := filepath.Join(folder, "objects", blob.fillPrefix())
	waitFor(t, "a segment is stored", func() bool {
		segments, err := filepath.Glob(filepath.Join(fill, "00*"))
		return err == nil && len(segments) > 0
	})
	r.Kill()

	// Add leases of other fills, and a blob whose fill has been running for longer than a day.
	s, err := filestore.Open(folder)
	require.NoError(t, err)
	longest := "public/fills/sha256/" + digest.FromString("slow").Encoded()
	for _, key := range []string{
		"public/fills/tags/docker.io/library/app/_/old", "public/fills/manifests/sha256/old", "public/fills/probe/old",
		"public/fills/sha512/" + digest.SHA512.FromString("x").Encoded() + "/lease", longest + "/00000.E",
		"public/tags/docker.io/library/app/_/1",
	} {
		_, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, backend.PutOptions{})
		require.NoError(t, err)
	}
	then := time.Now().Add(-25 * time.Hour)
	require.NoError(t, filepath.WalkDir(filepath.Join(folder, "objects"), func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(name, then, then))
	}))
	for _, key := range []string{longest + "/lease", "public/fills/tags/docker.io/library/app/_/young"} {
		_, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, backend.PutOptions{})
		require.NoError(t, err)
	}

	r = w.start(t)
	waitFor(t, "the fill is removed", func() bool {
		_, err := os.Stat(fill)
		return errors.Is(err, fs.ErrNotExist)
	})
	left := func() (keys []string) {
		for o, err := range s.List(t.Context(), "public/", "") {
			require.NoError(t, err)
			keys = append(keys, o.Key)
		}
		return keys
	}
	want := []string{
		longest + "/00000.E", longest + "/lease",
		"public/fills/tags/docker.io/library/app/_/young",
		layout.Public.DefaultSize(),
		"public/tags/docker.io/library/app/_/1",
	}
	waitFor(t, "removal of all expired objects", func() bool { return len(left()) <= len(want) })
	r.Signal(t, syscall.SIGTERM)
	require.Zero(t, r.Wait(t, time.Minute))
	require.Equal(t, want, left())
	require.Contains(t, r.Output(t), "expired objects removed")
}
