package fill_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-io/entrepot/upstream"
)

// crowded is an upstream of many blobs.
type crowded struct {
	name      string
	downloads int
	ranges    string
	breaks    float64       // chance that a connection breaks, for each piece
	segment   time.Duration // duration of a segment
	hangs     bool          // bodies contain no bytes and do not end

	sent      atomic.Int64 // bytes
	now, most atomic.Int64 // downloads
}

// crowdBlob is one blob of a crowded upstream.
type crowdBlob struct {
	*crowded
	content []byte
	claims  int64 // the announced size; 0: the right one
	mu      sync.Mutex
	dice    *rand.Rand
}

func (c *crowded) blob(seed uint64, n, size int) *crowdBlob {
	content := make([]byte, size)
	key := sha256.Sum256(fmt.Append(nil, c.name, seed, n))
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return &crowdBlob{crowded: c, content: content, dice: rand.New(rand.NewPCG(seed, uint64(n)))}
}

func (b *crowdBlob) Repository() string { return "app" }

func (b *crowdBlob) Size(ctx context.Context) (int64, error) {
	return b.says(), sleep(ctx, 10*time.Millisecond)
}

// says returns the size that the upstream announces.
func (b *crowdBlob) says() int64 {
	if b.claims != 0 {
		return b.claims
	}
	return int64(len(b.content))
}

func (b *crowdBlob) Link() (string, int) { return b.name, b.downloads }

func (b *crowdBlob) Open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	size := int64(len(b.content))
	part := &upstream.Part{Size: b.says(), Offset: offset, Ranged: true}
	if b.ranges == rangesIgnored {
		part.Offset, part.Ranged, end = 0, false, size
	}
	if end = min(end, size); end == 0 {
		end = size
	}
	b.most.Store(max(b.most.Load(), b.now.Add(1)))
	if err := sleep(ctx, 10*time.Millisecond); err != nil {
		b.now.Add(-1)
		return nil, err
	}
	part.Body = &crowdBody{ctx: ctx, blob: b, data: b.content[min(part.Offset, size):end]}
	return part, nil
}

type crowdBody struct {
	ctx    context.Context
	blob   *crowdBlob
	data   []byte
	closed bool
}

func (t *crowdBody) Read(p []byte) (int, error) {
	b := t.blob
	if b.hangs {
		return 0, sleep(t.ctx, 1000*time.Hour)
	}
	if len(t.data) == 0 {
		return 0, io.EOF
	}
	b.mu.Lock()
	n, breaks := min(len(p), len(t.data), 1+b.dice.IntN(segmentSize/2)), b.dice.Float64() < b.breaks
	b.mu.Unlock()
	if err := sleep(t.ctx, b.segment*time.Duration(n)/segmentSize); err != nil {
		return 0, err
	}
	if breaks {
		return 0, errBroken
	}
	copy(p, t.data[:n])
	t.data = t.data[n:]
	b.sent.Add(int64(n))
	return n, nil
}

func (t *crowdBody) Close() error {
	if !t.closed {
		t.closed = true
		t.blob.now.Add(-1)
	}
	return nil
}
