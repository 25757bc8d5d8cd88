package patient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// writeStall is how long the store may take no byte of a write, or leave a complete one unanswered. Stores have a
	// shorter limit of their own; this one is for those that hang all the same, as a disk does.
	writeStall = 45 * time.Second
	// abandonAfter is how long a canceled call of the store may take to return.
	abandonAfter = 5 * time.Second
)

// PutBuffer stores buf. When it returns, nothing reads buf any more, even if the store hangs.
func (c *Caller) PutBuffer(ctx context.Context, key string, buf []byte, o backend.PutOptions) (stored backend.Object, err error) {
	body := &watched{data: bytes.NewReader(buf), moved: make(chan struct{}, 1)}
	defer body.end()
	err = c.Guard(ctx, writeStall, body.moved, func(ctx context.Context) (func(), error) {
		object, err := c.Store.Put(ctx, key, body, int64(len(buf)), o)
		return func() { stored = object }, err
	})
	return stored, err
}

// Guard calls do, which calls the store. It gives up if nothing has moved for as long as most. A call that does not return
// even when it is canceled continues in the background and its result is dropped; otherwise Guard calls the function that
// do returns, unless it is nil.
func (c *Caller) Guard(ctx context.Context, most time.Duration, moved <-chan struct{}, do func(context.Context) (keep func(), err error)) error {
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		keep func()
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		keep, err := do(calling)
		ended <- result{keep, err}
	}()
	finish := func(r result) error {
		if r.err == nil && r.keep != nil {
			r.keep()
		}
		return r.err
	}
	stall, again := time.NewTimer(most), false
	defer stall.Stop()
	late := fmt.Errorf("%w within %s", backend.ErrLate, most)
	for {
		select {
		case r := <-ended:
			return finish(r)
		case <-moved:
			stall.Reset(most)
			again = false
			continue
		case <-ctx.Done():
			late = ctx.Err()
		case <-stall.C:
			if !again { // the process may have been paused, and the response be there
				stall.Reset(abandonAfter)
				again = true
				continue
			}
		}
		break
	}
	cancel()
	select {
	case r := <-ended:
		if r.err == nil || ctx.Err() != nil {
			return finish(r)
		}
	case <-time.After(abandonAfter):
		c.Log.Warn("call of the store abandoned", "error", late)
	}
	return late
}

// watched is the body of a write. It signals when bytes are read, and yields none after its end.
type watched struct {
	mu    sync.Mutex
	data  *bytes.Reader
	ended bool
	moved chan struct{}
}

func (w *watched) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, io.ErrClosedPipe
	}
	select {
	case w.moved <- struct{}{}:
	default:
	}
	return w.data.Read(p)
}

func (w *watched) Seek(offset int64, whence int) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, io.ErrClosedPipe
	}
	return w.data.Seek(offset, whence)
}

func (w *watched) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}
