package s3rules

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	maxParts = 10_000

	// copiesAtOnce is how many parts of one composition the store is asked to copy at the same time.
	copiesAtOnce = 8

	// abortTime is how long an abort may take, though the caller's own time may be up. Parts that stay are a matter for
	// the bucket's lifecycle rules.
	abortTime = 5 * time.Second
	// abortAgain is after how long it is asked for again, at first.
	abortAgain = 20 * time.Millisecond
)

// Upload is a multipart upload under way.
type Upload interface {
	// Part sends body as part n, counted from 1. The store checks sha256, where it is not empty.
	Part(ctx context.Context, n int, body io.Reader, size int64, sha256 string) (etag string, err error)
	// Copy makes an object, in its version, part n. A server that has no copies is backend.ErrUnable.
	Copy(ctx context.Context, n int, src backend.Object) (etag string, err error)
	// Complete makes the parts an object, where the condition is met. It returns its ETag and the store's clock.
	Complete(ctx context.Context, etags []string) (backend.Object, error)
	// Abort removes the parts, and tells whether there is no such upload any more.
	Abort(ctx context.Context) (gone bool, err error)
}

// upload makes an object of the parts that the function uploads, or leaves nothing.
func upload(ctx context.Context, to Requests, key string, o backend.PutOptions, parts func(Upload) (etags []string, err error)) (backend.Object, error) {
	u, err := to.Begin(ctx, key, o)
	if err != nil {
		return backend.Object{}, err
	}
	etags, err := parts(u)
	if err == nil {
		var obj backend.Object
		if obj, err = u.Complete(ctx, etags); err == nil {
			return obj, nil
		}
	}
	_, over := errors.AsType[answered](err)
	return backend.Object{}, errors.Join(err, abort(ctx, u, over))
}

// abort removes the parts, also where the caller has given up. If the last request is not over on the store's side, its
// part may still come in behind the abort, so S3 says to do it more than once. An abort that such a part got in the way
// of fails (versitygw: 500), and is tried again for longer.
func abort(ctx context.Context, u Upload, over bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	for wait := abortAgain; ; wait *= 4 {
		gone, err := u.Abort(ctx)
		// That it is gone says little while a part may be on its way: versitygw makes it anew for one that comes late.
		if (over && (gone || err == nil)) || wait > 64*abortAgain {
			return err
		}
		time.Sleep(wait)
	}
}

// sendParts uploads body in parts, one after the other, straight from the reader.
func sendParts(ctx context.Context, to Requests, partSize int64, key string, src *Source, size int64, o backend.PutOptions) (backend.Object, error) {
	// All parts but the last are of one size: R2 insists.
	partSize = max(partSize, (size+maxParts-1)/maxParts)
	return upload(ctx, to, key, o, func(u Upload) (etags []string, err error) {
		var partSum string // of the only part
		if size <= partSize {
			partSum = o.SHA256
		} else if o.SHA256 != "" {
			src.sum = sha256.New()
		}
		for sent := int64(0); sent < size; sent += partSize {
			n, length := len(etags)+1, min(partSize, size-sent)
			etag, err := send(src, length, partSum, func(body io.Reader, sha256 string) (string, error) {
				return u.Part(ctx, n, body, length, sha256)
			})
			if err != nil {
				return nil, fmt.Errorf("put %s: part %d: %w", key, n, err)
			}
			etags = append(etags, etag)
		}
		// No store checks the hash of a whole that comes in parts. So it is done here, before that becomes visible.
		if src.sum != nil {
			if got := hex.EncodeToString(src.sum.Sum(nil)); got != o.SHA256 {
				return nil, answered{fmt.Errorf("put %s: %w: SHA-256 is %s, not %s", key, backend.ErrChecksum, got, o.SHA256)}
			}
		}
		return etags, nil
	})
}

// copyParts has the store copy the parts, a few at a time.
func copyParts(ctx context.Context, to Requests, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	return upload(ctx, to, key, o, func(u Upload) ([]string, error) {
		var (
			etags  = make([]string, len(parts))
			failed atomic.Bool
			// The copies under way when one fails are not called off but waited for: the store would not notice, and
			// finish them behind the abort's back.
			copies errgroup.Group
		)
		copies.SetLimit(copiesAtOnce)
		for i, p := range parts {
			if failed.Load() {
				break
			}
			copies.Go(func() (err error) {
				if etags[i], err = u.Copy(ctx, i+1, p); err != nil {
					failed.Store(true)
					return fmt.Errorf("compose %s: part %d: %w", key, i+1, err)
				}
				return nil
			})
		}
		return etags, copies.Wait()
	})
}
