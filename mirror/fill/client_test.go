package fill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/upstream"
)

// patience is how long a client may have to wait in total. It far exceeds all delays that a world can cause.
const patience = 15 * time.Minute

var (
	errQuit      = errors.New("the client has gone")
	errNoHeaders = errors.New("the answer did not begin")
)

// client requests the blob, or its end from some offset, until it has it.
func (w *world) client(n int) {
	name := fmt.Sprintf("client %d", n)
	dice := w.roll(name)
	c := &client{world: w, name: name, dice: dice, quits: -1}
	if n < w.Clients { // the last one is patient and wants the whole blob
		time.Sleep(between(dice, time.Millisecond, 40*time.Second))
		c.chooseManner()
	}
	began, bad := time.Now(), 0
	at := w.replicas[dice.IntN(len(w.replicas))]
	for tries := 1; ; tries++ {
		if at.gone() {
			live := w.live()
			at = live[dice.IntN(len(live))]
		}
		// The response of a replica that dies never ends.
		ended := make(chan error, 1)
		go func(r *replica) { ended <- c.ask(r) }(at)
		var err error
		select {
		case <-at.died:
			err = errDead
		case err = <-ended:
		}
		switch {
		case err == nil || errors.Is(err, errQuit):
			w.logf("%s: done", name)
			return
		case errors.Is(err, errHop) && time.Since(began) <= w.patience():
			time.Sleep(10 * time.Millisecond)
			at = w.replicas[dice.IntN(len(w.replicas))] // the client notices if it is gone
			continue
		case time.Since(began) > w.patience():
			w.fail("%s has not got the blob after %d tries: %v", name, tries, err)
			return
		case w.honest() && w.Losses == 0 && !at.struck() && !(at.hasRested() && errors.Is(err, fill.ErrHandedOver)) && !w.mayRefuse(err):
			w.fail("%s got an error from %s, which nothing has befallen: %v", name, at.name, err)
			return
		}
		w.logf("%s: %s: %v", name, at.name, err)
		if errors.Is(err, fill.ErrBadBlob) {
			if bad++; w.Bad > 0 && w.Leases && w.calm() && w.Breaks == 0 && bad > 1 {
				w.fail("%s got wrong bytes %d times, though all replicas know by then whose they are", name, bad)
				return
			}
		}
		time.Sleep(time.Second)
	}
}

// mayRefuse reports whether a client of an intact replica may get an error: the upstream refused the first request, several
// leaders were lost before the size was known, or a late delete removed what belonged to another replica by then.
func (w *world) mayRefuse(err error) bool {
	refused := new(upstream.Error)
	late := (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, backend.ErrLate)) && (w.struckBy("pause", "die", "close") > 1 || w.Latency > 100*time.Millisecond || w.Refusal.Of != "")
	if w.Outage.Lasts > 0 && errors.Is(err, errNoHeaders) && errors.Is(err, errLost) {
		return true // the client can try another replica
	}
	return w.robbed.Load() || errors.As(err, &refused) || (errors.Is(err, errNoHeaders) && (late || errors.Is(err, errBroken)))
}

type client struct {
	world  *world
	name   string
	dice   *rand.Rand
	offset int64
	pace   time.Duration // between reads
	quits  int           // after this many bytes; -1: never
}

func (c *client) chooseManner() {
	if c.dice.IntN(3) == 0 && c.world.Size > 0 {
		c.offset = c.dice.Int64N(int64(c.world.Size))
	}
	switch c.dice.IntN(5) {
	case 0:
		c.quits = c.dice.IntN(c.world.Size + 1)
	case 1:
		c.pace = between(c.dice, time.Millisecond, 2*time.Second)
	}
}

// read sends one request to one replica, and returns nil if the response is complete.
func (c *client) read(r *replica) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := r.fills.Join(ctx, c.world.digest, r.source())
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHeaders, err)
	}
	return c.readFrom(ctx, r, got)
}

func (c *client) readFrom(ctx context.Context, r *replica, got *fill.Fill) error {
	w := c.world
	if got.Tiny() {
		err := got.Wait(ctx)
		if errors.Is(err, fill.ErrUnstored) {
			err = got.Verified(ctx)
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
	}
	if c.offset > 0 && c.offset >= got.Size() {
		return errors.New("range not satisfiable")
	}
	body := got.Open(ctx, c.offset)
	defer body.Close()
	data, err := c.readAll(r, got, body)
	if err != nil {
		return err
	}
	// The client learned the size before the first byte, so for it this response is complete.
	if want := w.content[min(c.offset, int64(w.Size)):]; int64(len(data)) == got.Size()-c.offset && !bytes.Equal(data, want) {
		w.fail("%s got a complete answer from %s with wrong bytes", c.name, r.name)
	} else if int64(len(data)) != got.Size()-c.offset {
		w.fail("%s: the body from %s ends as if complete after %d bytes of %d", c.name, r.name, len(data), got.Size()-c.offset)
	}
	return nil
}

// longestWait is how long a reader of an intact replica may wait for a byte: until the whole blob is fetched and stored,
// and, for each lost leader, until another has taken over.
func (w *world) longestWait() time.Duration {
	if !w.honest() || w.Breaks > 0 || w.Losses > 0 || w.Refusal.Of != "" {
		return patience
	}
	segments := time.Duration(w.Size/segmentSize + 1)
	if w.Ranges != rangesGiven {
		segments *= 2 // the fill notices, and starts again
	}
	each := segments*(w.Segment+10*w.Latency) + 3*time.Second
	if !w.calm() {
		each += 4 * slowest
	}
	each += 2 * w.Outage.Lasts // and the pauses between tries after it
	lost, closed := w.struckBy("pause", "die"), w.struckBy("close", "rest")
	return each + time.Duration(lost+closed)*(each+20*w.Latency) + time.Duration(lost)*15*time.Second + time.Duration(closed)*4*time.Second
}

func (c *client) readAll(r *replica, got *fill.Fill, body io.Reader) ([]byte, error) {
	w := c.world
	var data []byte
	waited := time.Duration(0)
	defer func() {
		if most := w.longestWait(); waited > most && !r.struck() {
			w.fail("%s waited %s for a byte from %s, and %s are enough", c.name, waited, r.name, most)
		}
	}()
	p := make([]byte, 1+w.Size/50+c.dice.IntN(2*segmentSize))
	for {
		asked := time.Now()
		n, err := body.Read(p)
		waited = max(waited, time.Since(asked))
		data = append(data, p[:n]...)
		at := c.offset + int64(len(data))
		if w.honest() && (at > int64(w.Size) || !bytes.Equal(p[:n], w.content[at-int64(n):at])) {
			w.fail("%s got wrong bytes before %d from %s", c.name, at, r.name)
		}
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, fmt.Errorf("after %d bytes: %w", len(data), err)
		case c.quits >= 0 && len(data) >= c.quits:
			return nil, errQuit
		}
		time.Sleep(c.pace)
	}
}
