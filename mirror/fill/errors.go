package fill

import (
	"errors"
	"fmt"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
)

// Errors of fills.
var (
	ErrBadBlob    = growing.ErrBadBlob
	ErrBusy       = budget.ErrBusy
	ErrHandedOver = growing.ErrHandedOver
	ErrTooLarge   = growing.ErrTooLarge
	ErrUnstored   = growing.ErrUnstored
)

var (
	// errAgain: what is known of the fill has changed, and with it what to do.
	errAgain = errors.New("look again")
	// errLeft: nobody fills the blob any more, and readers here may have its beginning. The hash will show whether those
	// bytes are right.
	errLeft = fmt.Errorf("%w, and its lease is gone", growing.ErrGone)
	// errNoLease: there is no lease, and none can be taken. Each replica fetches for itself.
	errNoLease = errors.New("no lease")
	// errAlone: the lease cannot be kept any more.
	errAlone = errors.New("no lease can be held in the store")
	// errStuck: the leader has made no progress for long.
	errStuck = errors.New("no progress")
	// errPassed is how a fill ends whose bytes are right, and were not stored.
	errPassed = errors.New("the blob has passed through")
	// errLanded is how a fill ends that has found the blob in the bucket after all.
	errLanded = errors.New("the blob is stored already")
	// errSoonClosed: followers may still need the segments, and the process cannot wait for them.
	errSoonClosed = errors.New("segments of an unstored blob stay, since the process ends")
)
