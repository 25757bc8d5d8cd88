package landing

import (
	"context"
	"encoding"
	"errors"
	"fmt"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/failpoint"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// StoreSmall verifies a blob of one segment and stores it with one PUT. The store learns the digest, so that most stores
// refuse any other bytes. writing is the context of the PUT, which should complete even if ctx ends, since stopping would
// mean to fetch the bytes again. Error: growing.ErrUnstored, if the blob passes through.
func (l *Landing) StoreSmall(ctx, writing context.Context) error {
	buf := l.Blob.Bytes(0)
	l.hash.Write(buf)
	state, err := l.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("keep the hash: %w", err)
	}
	if err := l.Verify(); err != nil {
		return err
	}
	if !l.Blob.PassesThrough() {
		failpoint.Reached("before the blob is stored")
		err = l.Store.Insist(writing, func() error {
			if l.Blob.PassesThrough() {
				return growing.ErrUnstored
			}
			_, err := l.Store.PutBuffer(writing, l.Blob.Key, buf, l.checksum(backend.PutOptions{}))
			return err
		})
		if err != nil && !errors.Is(err, growing.ErrUnstored) {
			err = fmt.Errorf("store the blob: %w", err)
		}
		if err = l.conclude(ctx, err); !errors.Is(err, growing.ErrUnstored) {
			return err
		}
	}
	l.Blob.MarkHashed(0, state)
	return growing.ErrUnstored
}

// conclude handles the outcome of storing the blob. Error: growing.ErrUnstored, if the blob passes through.
func (l *Landing) conclude(ctx context.Context, err error) error {
	if err == nil { // even if the lease was given up meanwhile
		l.Writes.Report(ctx, ability.Blobs, nil)
		failpoint.Reached("blob stored")
		return nil
	}
	if !errors.Is(err, growing.ErrUnstored) && !errors.Is(err, lease.ErrLost) {
		err = l.refuse(ctx, ability.Blobs, err)
	}
	if l.Blob.PassesThrough() {
		return growing.ErrUnstored
	}
	return err
}
