//go:build e2e

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/inventory"
)

func TestPullsSucceedWhileTheCollectorRuns(t *testing.T) {
	t.Parallel()
	const (
		duration = time.Minute
		slice    = 15 * time.Second // for which the same images are pulled
		grace    = "10s"
	)
	w := newCluster(t)
	w.store = append(w.store, noUse, "ENTREPOT_PRESENCE_TTL=1s", "ENTREPOT_TAG_TTL=1s", "ENTREPOT_NEGATIVE_TTL=0s")
	base := w.upstream.Image("library/app", "base", 300_000, 6<<20)
	var tags []string
	for i := range 8 {
		tag := fmt.Sprintf("v%d", i)
		own := w.upstream.Image("library/app", "own", 100_000+int64(i))
		w.upstream.ImageOf("library/app", tag, append(own.Layers, base.Layers...)...)
		tags = append(tags, tag)
	}
	replicas := w.replicas(t, 2)
	for _, tag := range tags {
		require.NoError(t, pullFully(t.Context(), replicas[0].url("/v2/library/app"), tag))
	}

	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var work sync.WaitGroup
	var pulls, deleted atomic.Int64
	for client := range 20 {
		random := rand.New(rand.NewPCG(5000, uint64(client)))
		work.Go(func() {
			for ctx.Err() == nil {
				tag := tags[(int(time.Since(began)/slice)+4*random.IntN(2))%len(tags)]
				if err := pullFully(t.Context(), replicas[random.IntN(2)].url("/v2/library/app"), tag); err != nil {
					t.Errorf("pull of %s: %v", tag, err)
					return
				}
				pulls.Add(1)
				time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
			}
		})
	}
	work.Go(func() {
		for ctx.Err() == nil {
			for _, args := range [][]string{{"gc", "--max-size", "1B"}, {"rm", "docker.io/library/app:v*"}} {
				r := w.run(t, append(args, "--grace", grace, "--wait", "--output", "json")...)
				var report gc.Report
				if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.exit != 0 && !strings.Contains(r.stderr, "no such image") {
					t.Errorf("%v: exit %d: %s", args, r.exit, r.stderr)
				}
				deleted.Add(report.Deleted.Objects)
			}
		}
	})
	work.Wait()
	t.Logf("%d pulls, %d objects deleted", pulls.Load(), deleted.Load())
	assert.NotZero(t, deleted.Load(), "the collector had nothing to do")
	for _, r := range replicas {
		r.Signal(t, syscall.SIGTERM)
		r.Wait(t, time.Minute)
	}
	var usage inventory.Usage
	w.runJSON(t, &usage, "du")
	var plain inventory.Amount
	for _, o := range w.bucket.list(t, "") {
		plain.Objects++
		plain.Bytes += o.Size
	}
	assert.Equal(t, plain, usage.Amount)
}
