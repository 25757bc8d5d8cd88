package landing

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/failpoint"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// Config says what lands where.
type Config struct {
	Blob      *growing.Blob
	Store     *patient.Caller
	Realm     layout.Realm
	Epoch     string // in the keys of the segments that are written now
	Turns     *Turns
	Writes    *Writes
	Abilities *ability.Abilities // of the store
	Activity  *growing.Activity
	Log       *slog.Logger
}

// Landing lands one blob under one epoch.
type Landing struct {
	Config
	hash    hash.Hash
	hashed  int         // segments in hash when it was adopted
	wrote   atomic.Bool // segments were sent to the bucket
	strayed bool        // composing has failed, and may have left an upload
}

// New returns a landing that has stored and hashed nothing.
func New(cfg Config) *Landing {
	return &Landing{Config: cfg, hash: cfg.Blob.Digest.Algorithm().Hash()}
}

// Keep stores segment n and retires its memory. If the store does not take the segment, the blob passes through. The error
// says why the fill must end instead.
func (l *Landing) Keep(ctx context.Context, n int, buf []byte) error {
	if !l.Blob.PassesThrough() {
		stored, err := l.putSegment(ctx, n, buf)
		switch {
		case err == nil:
			l.Blob.MarkSegmentStored(n, stored)
			l.Writes.Report(ctx, ability.Segments, nil)
			l.Activity.Progress()
			failpoint.Reached("segment stored")
		case !errors.Is(err, growing.ErrUnstored):
			if err := l.refuse(ctx, ability.Segments, fmt.Errorf("store segment %d: %w", n, err)); err != nil {
				return err
			}
		}
	}
	l.Blob.Retire(n)
	return nil
}

func (l *Landing) putSegment(ctx context.Context, n int, buf []byte) (stored backend.Object, err error) {
	waited := l.Activity.Waits()
	end, err := l.Turns.take(ctx)
	waited()
	if err != nil {
		return stored, err
	}
	defer func() { end(err) }()
	l.wrote.Store(true)
	key := l.Realm.Segment(l.Blob.Digest, n, l.Epoch)
	err = l.Store.Insist(ctx, func() (err error) {
		if l.Blob.PassesThrough() {
			return growing.ErrUnstored
		}
		stored, err = l.Store.PutBuffer(ctx, key, buf, backend.PutOptions{})
		return err
	})
	stored.Key, stored.Size = key, int64(len(buf))
	return stored, err
}

// Wrote reports whether segments were sent to the bucket.
func (l *Landing) Wrote() bool { return l.wrote.Load() }

// Strayed reports whether composing may have left an unfinished upload.
func (l *Landing) Strayed() bool { return l.strayed }

// refuse handles a write that the store did not take: the rest of the blob passes through. It returns an error if the fill
// must end instead.
func (l *Landing) refuse(ctx context.Context, p ability.Purpose, reason error) error {
	switch {
	case errors.Is(reason, growing.ErrHandedOver) || errors.Is(reason, context.Canceled):
		return reason
	case l.Store.IsOver():
		return fmt.Errorf("%w: %w", growing.ErrHandedOver, reason)
	case ctx.Err() != nil:
		return reason
	}
	if !l.Blob.PassesThrough() { // writes that fail at the same time are one failure
		l.Writes.Report(ctx, p, reason)
	}
	return l.Blob.PassThrough(reason)
}

// checksum returns options with which most stores refuse any other bytes than the blob.
func (l *Landing) checksum(o backend.PutOptions) backend.PutOptions {
	if l.Blob.Digest.Algorithm() == digest.SHA256 {
		o.SHA256 = l.Blob.Digest.Encoded()
	}
	return o
}
