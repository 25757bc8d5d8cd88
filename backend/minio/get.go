package minio

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Get opens the bytes that r selects.
func (s *Store) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	return s3rules.Get(ctx, key, r, func(ctx context.Context, rangeHeader string) (http.Header, io.ReadCloser, error) {
		var o minio.GetObjectOptions
		if rangeHeader != "" {
			o.Set("Range", rangeHeader)
		}
		body, _, header, err := s.client.GetObject(ctx, s.bucket, s.prefix+key, o)
		if err != nil {
			return nil, nil, s.failure(err).Wrap("get", key, err)
		}
		return header, body, nil
	})
}

// List yields the objects whose keys begin with prefix and come after the key after. It skips objects of other programs
// whose keys are not valid for a Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		if !backend.CanPrefix(prefix) {
			return
		}
		o := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, FetchOwner: new(bool)}
		if after != "" {
			o.StartAfter = s.prefix + after
		}
		listing := s3rules.Listing{Requests: requests{s}, Quirks: &s.quirks, Root: s.prefix, Prefix: prefix}
		tries := s3rules.NewTries(ctx)
		for {
			var lookErr error // of looking up a key
			err := s.list(ctx, o, func(found minio.ObjectInfo) bool {
				// minio-go decodes keys if the server declares them encoded, but does not report whether it did.
				key, below, err := listing.Key(ctx, found.Key)
				if err != nil {
					lookErr = fmt.Errorf("list %s: key %q: %w", prefix, found.Key, err)
					return false
				}
				if !below {
					return true
				}
				o.StartAfter, tries = s.prefix+key, s3rules.NewTries(ctx)
				return backend.CheckKey(key) != nil || yield(backend.Object{
					Key: key, Size: found.Size, ETag: quoted(found.ETag), Modified: found.LastModified,
				}, nil)
			})
			if lookErr != nil {
				yield(backend.Object{}, lookErr)
				return
			}
			if err == nil {
				return
			}
			if err = tries.Again(s.failure(err).Wrap("list", prefix, err)); err != nil {
				yield(backend.Object{}, err)
				return
			}
		}
	}
}

// list passes each object to see until see returns false.
func (s *Store) list(ctx context.Context, o minio.ListObjectsOptions, see func(minio.ObjectInfo) bool) error {
	for found := range s.client.ListObjectsIter(ctx, s.bucket, o) {
		if found.Err != nil {
			return found.Err
		}
		if !see(found) {
			return nil
		}
	}
	return ctx.Err() // minio-go ends a canceled listing as if it were complete
}

// quoted restores the quotes that minio-go removes from an ETag. An empty one stays empty.
func quoted(etag string) backend.ETag {
	if backend.ETag(etag).Empty() {
		return ""
	}
	return backend.ETag(`"` + strings.Trim(etag, `"`) + `"`)
}
