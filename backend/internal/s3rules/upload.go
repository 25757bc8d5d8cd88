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
	// maxParts is S3's limit for the parts of an upload.
	maxParts = 10_000

	// copiesAtOnce is the number of parts of one composition that the store copies concurrently.
	copiesAtOnce = 8

	// abortTime bounds an abort, even if the caller's context has ended. The bucket's lifecycle rules remove what remains.
	abortTime = 5 * time.Second
	// abortAgain is the first pause between two aborts.
	abortAgain = 20 * time.Millisecond
)

// Upload is a multipart upload in progress.
type Upload interface {
	// Part sends body as part n, counted from 1. The store checks sha256 if it is not empty.
	Part(ctx context.Context, n int, body io.Reader, size int64, sha256 string) (etag string, err error)
	// Copy copies src into part n if src still has the version src.ETag, which is sent unchanged. The error is
	// backend.ErrUnable if the server does not support copies.
	Copy(ctx context.Context, n int, src backend.Object) (etag string, err error)
	// Complete joins the parts if the condition holds. The result has the ETag and the store's clock.
	Complete(ctx context.Context, etags []string) (backend.Object, error)
	// Abort removes the parts. It reports whether the upload no longer exists.
	Abort(ctx context.Context) (gone bool, err error)
}

// upload stores an object made of the parts that the function parts uploads. If it fails, it leaves nothing.
func upload(ctx context.Context, to Requests, key string, o backend.PutOptions, parts func(Upload) (etags []string, err error)) (backend.Object, error) {
	u, err := Retry(ctx, func() (Upload, error) { return to.Begin(ctx, key, o) })
	if err != nil {
		return backend.Object{}, err
	}
	etags, err := parts(u)
	if err == nil {
		var obj backend.Object
		if obj, err = Retry(ctx, func() (backend.Object, error) { return u.Complete(ctx, etags) }); err == nil {
			return obj, nil
		}
	}
	_, over := errors.AsType[responded](err)
	return backend.Object{}, marked{errors.Join(err, abort(ctx, u, over)), backend.Transient(err)}
}

// abort removes the parts, even if ctx has ended. If the last request is still in progress at the store, its part can arrive
// after the abort, so S3 asks for repeated aborts. An abort that collides with such a part fails (500 by versitygw) and
// is repeated for longer.
func abort(ctx context.Context, u Upload, over bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	for wait := abortAgain; ; wait *= 4 {
		gone, err := u.Abort(ctx)
		// While a part may still arrive, a missing upload proves little: versitygw creates it again for the part.
		if (over && (gone || err == nil)) || wait > 64*abortAgain {
			return err
		}
		time.Sleep(wait)
	}
}

// sendParts uploads src in parts, one after the other, without buffering.
func sendParts(ctx context.Context, to Requests, partSize int64, key string, src *source, size int64, o backend.PutOptions) (backend.Object, error) {
	// R2 insists that all parts except the last have the same size.
	partSize = max(partSize, (size+maxParts-1)/maxParts)
	return upload(ctx, to, key, o, func(u Upload) (etags []string, err error) {
		var partSum string // of the only part, if there is one
		if size <= partSize {
			partSum = o.SHA256
		} else if o.SHA256 != "" {
			src.sum = sha256.New()
		}
		for sent := int64(0); sent < size; sent += partSize {
			n, length := len(etags)+1, min(partSize, size-sent)
			etag, err := send(ctx, src, length, partSum, func(body io.Reader, sha256 string) (string, error) {
				return u.Part(ctx, n, body, length, sha256)
			})
			if err != nil {
				return nil, fmt.Errorf("put %s: part %d: %w", key, n, err)
			}
			if backend.ETag(etag).Empty() {
				return nil, responded{error: fmt.Errorf("put %s: part %d: the response has no ETag", key, n)}
			}
			etags = append(etags, etag)
		}
		// No store checks the hash of an object sent in parts, so check it before the object becomes visible.
		if src.sum != nil {
			if got := hex.EncodeToString(src.sum.Sum(nil)); got != o.SHA256 {
				return nil, responded{error: fmt.Errorf("put %s: %w: SHA-256 is %s, not %s", key, backend.ErrChecksum, got, o.SHA256)}
			}
		}
		return etags, nil
	})
}

// copyParts makes the store copy the parts, a few at a time.
func copyParts(ctx context.Context, to Requests, q *Quirks, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	return upload(ctx, to, key, o, func(u Upload) ([]string, error) {
		var (
			etags  = make([]string, len(parts))
			failed atomic.Bool
			// When one fails, wait for the others: the store would not notice a cancellation, and finish them after the
			// abort.
			copies errgroup.Group
		)
		copies.SetLimit(copiesAtOnce)
		for i, p := range parts {
			if failed.Load() {
				break
			}
			copies.Go(func() (err error) {
				if etags[i], err = copyPart(ctx, to, q, u, i+1, p); err != nil {
					failed.Store(true)
					return fmt.Errorf("compose %s: part %d: %w", key, i+1, err)
				}
				return nil
			})
		}
		return etags, copies.Wait()
	})
}
