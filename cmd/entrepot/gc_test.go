package main_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// noUse keeps replicas and collectors from going by the last use, which is known to the hour on buckets.
const noUse = "ENTREPOT_RECORD_USE=false"

func TestCollectorCommands(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.store = append(w.store, noUse, "ENTREPOT_PRESENCE_TTL=1s", "ENTREPOT_TAG_TTL=1s")
			one := w.upstream.Image("library/app", "1", 3<<20, 1000)
			two := w.upstream.ImageOf("library/app", "2", one.Layers[0])
			r := w.start(t)
			r.pull(t, "library/app", "1", one)
			r.pull(t, "library/app", "2", two)
			waitFor(t, "both images are stored", func() bool {
				var usage inventory.Usage
				w.runJSON(t, &usage, "du")
				return usage.Fills.Objects == 0
			})
			time.Sleep(time.Second) // the precision of a bucket's clock

			var dry, report gc.Report
			w.runJSON(t, &dry, "gc", "--max-size", "1B", "--keep", "docker.io/library/app:2", "--dry-run")
			assert.True(t, dry.DryRun)
			assert.Equal(t, gc.Deleted{Images: 1, Amount: inventory.Amount{Objects: 3, Bytes: 1000 + one.Size + one.Config.Size}}, dry.Deleted)
			assert.Len(t, w.listed(t, "ls"), 2)

			text := w.run(t, "gc", "--max-size", "1B", "--keep-last", "1", "--grace", "2s")
			require.Zero(t, text.exit, text.stderr)
			assert.Contains(t, text.stdout, "0 images")
			assert.Contains(t, text.stdout, "marked for later")
			assert.Len(t, w.listed(t, "ls"), 2, "only marked")

			w.runJSON(t, &report, "gc", "--max-size", "1B", "--keep", "docker.io/library/app:2", "--grace", "2s", "--wait")
			assert.Equal(t, dry.Deleted, report.Deleted)
			assert.Equal(t, []string{"docker.io/library/app:2"}, slices.Collect(maps.Keys(w.listed(t, "ls"))))
			var usage inventory.Usage
			w.runJSON(t, &usage, "du")
			assert.Zero(t, usage.Unreferenced)

			w.runJSON(t, &report, "rm", two.Digest.String(), "--grace", "2s", "--wait")
			assert.EqualValues(t, 1, report.Deleted.Images)
			assert.Empty(t, w.listed(t, "ls", "--digests"))
			missing := w.run(t, "rm", "docker.io/library/app:2")
			assert.Equal(t, 1, missing.exit)
			assert.Contains(t, missing.stderr, "no such image in the cache")

			r.pull(t, "library/app", "1", one)
			refused := w.run(t, "reset")
			assert.Equal(t, 2, refused.exit, refused.stderr)
			var reset struct{ Deleted inventory.Amount }
			w.runJSON(t, &reset, "reset", "--yes")
			assert.NotZero(t, reset.Deleted.Objects)
			w.runJSON(t, &usage, "du")
			assert.Zero(t, usage.Amount)
		})
	}
}

func TestCollectorRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := &cluster{program: newCluster(t).program, store: []string{"ENTREPOT_STORE=file:" + filepath.Join(folder, "store")}, upstream: newCluster(t).upstream}
	rules := filepath.Join(folder, "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("rules:\n- pattern: a\n  maxAgee: 3d\n"), 0o600))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"gc", "--max-size", "x"}, "ENTREPOT_MAX_SIZE: \"x\": not a size"},
		{[]string{"gc", "--max-age", "3 days"}, "ENTREPOT_MAX_AGE: \"3 days\": not a duration"},
		{[]string{"gc", "--keep-last", "-1"}, "--keep-last: -1 is negative"},
		{[]string{"gc", "--rules", rules}, "field maxAgee not found"},
		{[]string{"gc", "--rules", filepath.Join(folder, "none")}, "no such file"},
		{[]string{"gc", "image"}, "takes no arguments"},
		{[]string{"rm"}, "name an image"},
		{[]string{"rm", "a", "--grace", "-1h"}, "--grace: \"-1h\" is negative"},
	} {
		r := w.run(t, test.args...)
		assert.Equal(t, 2, r.exit, test.args)
		assert.Contains(t, r.stderr, test.want)
		assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	}
}
