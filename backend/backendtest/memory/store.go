// Package memory implements an object store in memory, for tests with virtual time and tests that inspect the store. It
// passes the whole contract and behaves like S3: conditions are atomic, an ETag is a hash of the bytes, so equal bytes have
// equal ETags, and times are in whole seconds by the store's own clock. No call blocks, so that a store can be used in a
// bubble of testing/synctest.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Store implements backend.Store and backend.Composer, with parts of any size. The zero value is an empty store.
type Store struct {
	Now func() time.Time // the store's clock; nil: time.Now

	mu      sync.Mutex
	objects map[string]object
}

type object struct {
	backend.Object
	data []byte // never changes
}

var (
	_ backend.Store    = (*Store)(nil)
	_ backend.Composer = (*Store)(nil)
)

func (s *Store) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return now().UTC().Truncate(time.Second)
}

func begin(ctx context.Context, key string) error {
	return cmp.Or(backend.CheckKey(key), ctx.Err())
}

// Get opens the current version. The reader keeps it, even if the object is replaced or deleted.
func (s *Store) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	o, err := s.find(ctx, key)
	if err != nil {
		return nil, backend.Object{}, fmt.Errorf("memory: get %s: %w", key, err)
	}
	data := o.data
	if r != (backend.Range{}) {
		if r.Offset < 0 || r.Length < 0 || r.Offset >= o.Size {
			return nil, backend.Object{}, fmt.Errorf("memory: get %s: %w", key, backend.ErrRange)
		}
		if data = data[r.Offset:]; r.Length > 0 {
			data = data[:min(r.Length, int64(len(data)))]
		}
	}
	return io.NopCloser(bytes.NewReader(data)), o.Object, nil
}

// Stat describes the object.
func (s *Store) Stat(ctx context.Context, key string) (backend.Object, error) {
	o, err := s.find(ctx, key)
	if err != nil {
		return backend.Object{}, fmt.Errorf("memory: stat %s: %w", key, err)
	}
	return o.Object, nil
}

func (s *Store) find(ctx context.Context, key string) (object, error) {
	if err := begin(ctx, key); err != nil {
		return object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, backend.ErrNotFound
	}
	o.AsOf, o.Metadata = s.now(), maps.Clone(o.Metadata)
	return o, nil
}

// Put reads body into memory and then stores it.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	stored, err := s.put(ctx, key, body, size, o)
	if err != nil {
		return backend.Object{}, fmt.Errorf("memory: put %s: %w", key, err)
	}
	return stored, nil
}

func (s *Store) put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if err := begin(ctx, key); err != nil {
		return backend.Object{}, err
	}
	if size < 0 {
		return backend.Object{}, fmt.Errorf("invalid size %d", size)
	}
	data, err := allocate(size)
	if err != nil {
		return backend.Object{}, err
	}
	for at := 0; at < len(data); {
		n, err := body.Read(data[at:min(len(data), at+64<<10)])
		at += n
		if ended := ctx.Err(); ended != nil {
			return backend.Object{}, ended
		}
		if err != nil && at < len(data) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return backend.Object{}, &backend.BodyError{Err: err}
		}
	}
	if o.SHA256 != "" && hexOf(sha256.New(), data) != o.SHA256 {
		return backend.Object{}, backend.ErrChecksum
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store(key, data, `"`+hexOf(md5.New(), data)+`"`, o)
}

// Compose stores the concatenation of the parts.
func (s *Store) Compose(ctx context.Context, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	stored, err := s.compose(ctx, key, parts, o)
	if err != nil {
		return backend.Object{}, fmt.Errorf("memory: compose %s: %w", key, err)
	}
	return stored, nil
}

func (s *Store) compose(ctx context.Context, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	if err := begin(ctx, key); err != nil {
		return backend.Object{}, err
	}
	if len(parts) == 0 || len(parts) > 10_000 {
		return backend.Object{}, fmt.Errorf("%d parts", len(parts))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var size int64
	for i, p := range parts {
		if err := backend.CheckKey(p.Key); err != nil {
			return backend.Object{}, err
		}
		found, ok := s.objects[p.Key]
		switch {
		case !ok:
			return backend.Object{}, fmt.Errorf("part %d: %s: %w", i+1, p.Key, backend.ErrNotFound)
		case found.ETag != p.ETag || found.Size != p.Size:
			return backend.Object{}, fmt.Errorf("part %d: %s: %w", i+1, p.Key, backend.ErrPrecondition)
		}
		size += p.Size
	}
	data, err := allocate(size)
	if err != nil {
		return backend.Object{}, err
	}
	at, tags := 0, md5.New()
	for _, p := range parts {
		at += copy(data[at:], s.objects[p.Key].data)
		tags.Write([]byte(p.ETag)) // never fails
	}
	return s.store(key, data, fmt.Sprintf(`"%x-%d"`, tags.Sum(nil), len(parts)), o)
}

// store stores an object. The lock must be held.
func (s *Store) store(key string, data []byte, tag string, o backend.PutOptions) (backend.Object, error) {
	current, exists := s.objects[key]
	if (o.Condition.IfAbsent && exists) || (o.Condition.IfMatch != "" && (!exists || current.ETag != o.Condition.IfMatch)) {
		return backend.Object{}, backend.ErrPrecondition
	}
	stored := backend.Object{
		Key: key, Size: int64(len(data)), ETag: backend.ETag(tag),
		ContentType: cmp.Or(o.ContentType, "application/octet-stream"), Metadata: maps.Clone(o.Metadata),
	}
	entry := object{stored, data}
	entry.Modified = s.now()
	if s.objects == nil {
		s.objects = map[string]object{}
	}
	s.objects[key] = entry
	stored.AsOf = entry.Modified
	return stored, nil
}

// Delete removes the object.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := begin(ctx, key); err != nil {
		return fmt.Errorf("memory: delete %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// List yields the objects that exist when it begins.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		for _, o := range s.list(prefix, after) {
			if ctx.Err() != nil {
				break
			}
			if !yield(o, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(backend.Object{}, fmt.Errorf("memory: list %s: %w", prefix, err))
		}
	}
}

func (s *Store) list(prefix, after string) []backend.Object {
	if !backend.CanPrefix(prefix) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []backend.Object
	for key, o := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, backend.Object{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.Modified})
		}
	}
	slices.SortFunc(found, func(a, b backend.Object) int { return strings.Compare(a.Key, b.Key) })
	return found
}

func hexOf(h hash.Hash, data []byte) string {
	h.Write(data) // never fails
	return hex.EncodeToString(h.Sum(nil))
}
