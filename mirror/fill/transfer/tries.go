package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	// maxFailures is how many tries in a row may bring no byte before a transfer fails, after about 15 s.
	maxFailures  = 6
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	longestWait  = 30 * time.Second // that a source may ask for by Retry-After
)

// errShort: the body ended before the announced number of bytes.
var errShort = errors.New("the body ends early")

// tries counts failed requests.
type tries struct {
	failures int // in a row that brought nothing
	breaks   int // since the source last heard of one
}

// retries is what retrying takes besides counting.
type retries struct {
	log   *slog.Logger
	count prometheus.Counter
}

// again waits before the next try, after one that brought n bytes and then failed. It returns an error if another try would
// not help. The hold keeps its slot if the next try comes at once.
func (r *retries) again(ctx context.Context, hold *budget.Hold, tries *tries, n int64, err error) error {
	refused := new(upstream.Error)
	answered := errors.As(err, &refused)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, growing.ErrBadBlob), errors.Is(err, upstream.ErrBadContent):
		return err
	case answered && refused.Permanent():
		return err
	}
	if n > 0 {
		tries.failures = 0
	}
	tries.failures++
	if tries.failures > maxFailures && errors.Is(err, errShort) {
		// The announced size was wrong, so nobody should continue with it.
		return fmt.Errorf("%w: %w, %d times in a row", growing.ErrBadBlob, err, maxFailures)
	}
	if tries.failures > maxFailures {
		return fmt.Errorf("given up after %d tries in a row: %w", maxFailures, err)
	}
	pause := min(firstPause<<(tries.failures-1), longestPause)
	if answered {
		pause = max(pause, min(refused.RetryAfter, longestWait))
	}
	if n > 0 {
		pause = 0 // there is progress, if slow
	} else {
		hold.Release()
	}
	r.count.Inc()
	r.log.Info("transfer interrupted", "landed", n, "pause", pause, "error", err)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause + rand.N(pause/4+1)):
		return nil
	}
}
