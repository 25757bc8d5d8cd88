package main_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// usage returns what the cache takes.
func (w *cluster) usage(t *testing.T) (u inventory.Usage) {
	t.Helper()
	w.runJSON(t, &u, "du")
	return u
}

func TestFileStoreStaysBelowItsSize(t *testing.T) {
	t.Parallel()
	w := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
	const limit = 3 << 20
	r := w.start(t, "ENTREPOT_MAX_SIZE=3MiB", "ENTREPOT_GC_INTERVAL=1s")
	for i := range 6 {
		tag := fmt.Sprint(i)
		w.upstream.Image("library/app", tag, 1<<20)
		require.NoError(t, pullFully(t.Context(), r.url("/v2/library/app"), tag))
	}
	waitFor(t, "the cache is small enough", func() bool { return w.usage(t).Bytes <= limit })
	require.NotEmpty(t, r.logged(t, "gc done"))
	listed := w.listed(t, "ls")
	assert.Contains(t, listed, "docker.io/library/app:5", "the last image stays")
	assert.NotContains(t, listed, "docker.io/library/app:0")
	require.NoError(t, pullFully(t.Context(), r.url("/v2/library/app"), "0"), "what was removed is fetched again")
}

func TestFullDiskIsRelieved(t *testing.T) {
	t.Parallel()
	mounted := testenv.TmpFS(t, "size=64m")
	w := newFolderCluster(t, filepath.Join(mounted, "store"))
	r := w.start(t)
	pull := func(tag string, sizes ...int64) {
		t.Helper()
		w.upstream.Image("library/app", tag, sizes...)
		require.NoError(t, pullFully(t.Context(), r.url("/v2/library/app"), tag))
	}
	for i := range 7 {
		pull(fmt.Sprint(i), 7<<20)
	}
	time.Sleep(time.Second) // the precision of uses
	pull("larger", 7<<20, 7<<20+1, 7<<20+2)
	waitFor(t, "the cache is shrunk", func() bool { return len(r.logged(t, "gc done")) > 0 })
	waitFor(t, "the image is stored", func() bool {
		require.NoError(t, pullFully(t.Context(), r.url("/v2/library/app"), "larger"))
		return w.listed(t, "ls")["docker.io/library/app:larger"].Bytes > 21<<20
	})

	pull("huge", 80<<20)
	waitFor(t, "nothing is left behind", func() bool { return w.usage(t).Fills.Objects == 0 })
	require.NoError(t, pullFully(t.Context(), r.url("/v2/library/app"), "huge"), "the disk is not full for good")
}
