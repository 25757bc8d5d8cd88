package fill_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/upstream"
)

var errBroken = errors.New("connection reset by peer")

// liars is how long sources lie. Then the blob can land.
const liars = 30 * time.Second

// source is the upstream, or one endpoint of it, as one replica sees it.
type source struct {
	*replica
	bad bool // this is the endpoint that lies
}

// foresighted is a source that knows the expected size.
type foresighted struct{ source }

func (s foresighted) Expect() int64 { return s.world.Expects }

func (r *replica) source() fill.Source {
	switch {
	case r.world.Bad > 0:
		return r.chooses()
	case r.world.Expects > 0:
		return foresighted{source{r, false}}
	}
	return source{r, false}
}

func (source) Repository() string { return "app" }

func (s source) Link() (string, int) { return "upstream", s.world.Downloads }

func (s source) Size(ctx context.Context) (int64, error) {
	if err := s.awake(); err != nil {
		return 0, err
	}
	dice := s.world.roll(s.name, "size")
	if err := s.world.travel(ctx, dice); err != nil {
		return 0, err
	}
	if s.lies(dice) {
		return dice.Int64N(20 * segmentSize), nil
	}
	return int64(s.world.Size), nil
}

func (s source) lies(dice *rand.Rand) bool {
	if s.world.Bad > 0 {
		return s.bad && dice.Float64() < s.world.Bad
	}
	return time.Since(s.world.began) < liars && s.world.happens(dice, s.world.Lies)
}

func (s source) Open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	if err := s.awake(); err != nil {
		return nil, err
	}
	w := s.world
	dice := w.roll(s.name, "open source")
	s.meet("open source", false)
	if err := s.awake(); err != nil {
		return nil, err
	}
	if err := w.travel(ctx, dice); err != nil {
		return nil, err
	}
	if err := s.awake(); err != nil {
		return nil, err
	}
	if w.happens(dice, w.Breaks) {
		return nil, &upstream.Error{Status: 503, RetryAfter: time.Duration(dice.IntN(3)) * time.Second}
	}
	w.logf("%s: open source %d-%d", s.name, offset, end)
	size := int64(w.Size)
	part := &upstream.Part{Size: size, Offset: offset, Ranged: true}
	switch ranged := offset > 0 || end > 0; {
	case ranged && offset >= size:
		return nil, &upstream.Error{Status: 416}
	case ranged && w.Ranges == rangesRefused && offset > 0:
		return nil, &upstream.Error{Status: 206, Err: upstream.ErrWrongRange}
	case !ranged || w.Ranges == rangesIgnored:
		part.Offset, part.Ranged, end = 0, false, size
	}
	if end = min(end, size); end == 0 {
		end = size
	}
	data := w.content[part.Offset:end]
	honest := true
	if s.lies(dice) {
		data, honest = s.lie(dice, part, data), false
	}
	if !w.TellsSize && !part.Ranged {
		part.Size = -1
	}
	if now := s.downloads.Add(1); now > int64(w.Downloads) {
		w.fail("%s has %d downloads, and may have %d", s.name, now, w.Downloads)
	}
	part.Body = &transfer{ctx: ctx, source: s, dice: dice, at: part.Offset, data: data, counts: honest}
	return part, nil
}

// lie turns a response into one that is not the blob's.
func (s source) lie(dice *rand.Rand, part *upstream.Part, data []byte) []byte {
	lie := append([]byte(nil), data...)
	what := dice.IntN(5)
	switch {
	case what == 0: // an HTML page with status 200
		lie = make([]byte, dice.IntN(2*segmentSize))
		part.Offset, part.Ranged, part.Size = 0, false, int64(len(lie))
	case what == 1 && !part.Ranged: // another blob, longer or shorter
		lie = append(lie[:dice.IntN(len(lie)+1)], make([]byte, dice.IntN(2*segmentSize))...)
		part.Size = int64(len(lie))
	case what == 2: // more bytes than announced
		lie = append(lie, 1)
	case what == 3 && part.Ranged: // a part of another blob, with another size
		part.Size += dice.Int64N(100) - 50
	case len(lie) > 0:
		lie[dice.IntN(len(lie))]++
	}
	s.world.logf("%s: the upstream lies (%d)", s.name, what)
	return lie
}

// transfer is a response's body in transit.
type transfer struct {
	ctx    context.Context
	source source
	dice   *rand.Rand
	at     int64
	data   []byte
	counts bool
	closed bool
}

func (t *transfer) Read(p []byte) (int, error) {
	s, w := t.source, t.source.world
	if err := s.awake(); err != nil {
		return 0, err
	}
	s.meet("read source", false)
	if err := s.awake(); err != nil {
		return 0, err
	}
	if len(t.data) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(t.data), 1+t.dice.IntN(segmentSize))
	if err := sleep(t.ctx, w.Segment*time.Duration(n)/segmentSize); err != nil {
		return 0, err
	}
	if err := s.awake(); err != nil {
		return 0, err
	}
	if w.happens(t.dice, w.Breaks) {
		return 0, errBroken
	}
	copy(p, t.data[:n])
	if t.counts {
		w.mu.Lock()
		for i := range int64(n) {
			w.served[t.at+i]++
		}
		w.mu.Unlock()
	}
	t.at += int64(n)
	t.data = t.data[n:]
	return n, nil
}

func (t *transfer) Close() error {
	if !t.closed {
		t.source.downloads.Add(-1)
	}
	t.closed = true
	return nil
}
