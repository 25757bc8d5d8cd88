// Package backend defines the object store that holds all of entrepot's state.
//
// Store is the interface that all stores implement; the comments on its methods are the contract. Composer, Sweeper,
// UploadExpirer, Toucher, Denier and Presigner are optional abilities. The implementations are backend/fs (a local folder), backend/s3
// (aws-sdk-go-v2) and backend/minio (minio-go). The test suite in backend/backendtest checks the contract on each of them.
// This package does not know what keys mean: see mirror/layout.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Errors that callers test for with errors.Is. Stores wrap them with the operation and the key.
var (
	// ErrNotFound means that there is no object at the key.
	ErrNotFound = errors.New("no such object")
	// ErrPrecondition means that a condition of the call was not met. Nothing was changed.
	ErrPrecondition = errors.New("precondition failed")
	// ErrChecksum means that the bytes do not have the announced SHA-256. Nothing was stored.
	ErrChecksum = errors.New("bytes do not match their checksum")
	// ErrRange means that the range begins at or past the end of the object.
	ErrRange = errors.New("range not satisfiable")
	// ErrNoBucket means that the bucket does not exist (the folder, for a file store).
	ErrNoBucket = errors.New("no such bucket")
	// ErrDenied means that the credentials are wrong or do not permit the operation.
	ErrDenied = errors.New("access denied")
	// ErrKey means that the key is invalid; see Store.
	ErrKey = errors.New("invalid key")
	// ErrFull means that the store has no space left or that a quota is exhausted. Nothing was stored.
	ErrFull = errors.New("the store is full")
	// ErrReadOnly means that the store currently accepts no writes. Nothing was stored.
	ErrReadOnly = errors.New("the store is read-only")
	// ErrUnable means that the store's server does not support the operation or the condition. Nothing was changed.
	ErrUnable = errors.New("not supported by the store")
	// ErrConflict is an ErrPrecondition caused by a concurrent write to the key. Nothing was changed, and the condition may
	// still hold.
	ErrConflict = fmt.Errorf("%w: another write was under way", ErrPrecondition)
)

// ETag names one version of an object's bytes. It is opaque and kept exactly as the store sent it.
type ETag string

// Object describes a stored object.
type Object struct {
	Key         string
	Size        int64 // bytes
	ETag        ETag
	ContentType string            // as given to Put; empty in listings
	Metadata    map[string]string // as given to Put, names in lower case; nil in listings
	Modified    time.Time         // by the store's clock; zero if returned by Put or Compose
	AsOf        time.Time         // the store's clock at the time of the response; zero in listings
}

// Range is a part of an object's bytes. The zero value is the whole object.
type Range struct {
	Offset int64
	Length int64 // 0: to the object's end
}

// Condition makes a write depend on the current object at the key. The zero value is no condition.
type Condition struct {
	// IfAbsent allows the write only if there is no object.
	IfAbsent bool
	// IfMatch allows the write only over this version. It is sent unchanged, with or without quotes. No object matches an
	// ETag that consists of quotes only. For an ETag that may be empty use the function IfMatch.
	IfMatch ETag
}

// PutOptions holds what Put stores besides the bytes. The zero value is valid.
type PutOptions struct {
	ContentType string            // empty: application/octet-stream
	Metadata    map[string]string // names [a-z0-9-], values printable ASCII
	// SHA256 is the expected SHA-256 of the bytes in lower-case hex, if known. The store refuses other bytes with
	// ErrChecksum. Some S3 servers (rclone) do not check it, so callers must verify content that matters.
	SHA256    string
	Condition Condition
}

// Store is a bucket of objects. Its methods can be called concurrently, obey their context, and retry by themselves.
//
// A key is a slash-separated path of 1 to 900 bytes of UTF-8, without backslashes and control characters. No segment may
// be empty, "." or "..", with or without surrounding spaces. Every method refuses other keys with ErrKey before it does
// anything. Colons are allowed. A key should not be the folder of another ("a" and "a/b"): writing the second may fail.
//
// Any method may return ErrNoBucket or ErrDenied, and any write ErrFull or ErrReadOnly.
type Store interface {
	// Get opens the part of the object that r selects. The Object describes the whole object. A read that cannot be
	// completed fails with an error other than io.EOF: a body never ends early as if it were complete. The caller closes
	// the reader; closing early is cheap. Errors: ErrNotFound, ErrRange.
	Get(ctx context.Context, key string, r Range) (io.ReadCloser, Object, error)

	// Stat describes the object. Errors: ErrNotFound, which some stores also return if the bucket is missing.
	Stat(ctx context.Context, key string) (Object, error)

	// Put stores exactly size bytes of body as the object and replaces an existing one. Readers see all of it or none. If
	// body fails or ends early, Put fails with a BodyError and stores nothing.
	//
	// Put reads no more than size bytes, and none after it has returned. It waits for a read in progress, so a body that
	// can block must obey ctx. The store may rewind an io.ReadSeeker, to hash it first or to retry. It reads other bodies
	// once and buffers at most 64 KiB. Objects too large for one request are sent in parts.
	//
	// Errors: ErrPrecondition, ErrConflict, ErrChecksum, and ErrUnable if the server seems to refuse conditions; it may
	// refuse the same write without one. After a lost response a retry can meet the effect of its own first attempt, so
	// a caller that needs to know who won must look at the object after an ErrPrecondition.
	//
	// The ETag is empty only if the response had none and another write or Delete came before the store could ask for it.
	Put(ctx context.Context, key string, body io.Reader, size int64, o PutOptions) (Object, error)

	// Delete removes the object. It is no error if there is none.
	Delete(ctx context.Context, key string) error

	// List yields the objects whose keys begin with prefix and come after the key after (empty: from the first), in
	// ascending byte order of keys. It fetches pages as they are consumed and ends at the first error. A prefix is empty,
	// a key, or a key followed by a slash; any other prefix yields nothing.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
}

// MinPart is the minimum size in bytes of all parts of a composed object except the last: S3's limit.
const MinPart = 5 << 20

// Composer is the optional ability to join objects without moving their bytes through this process.
type Composer interface {
	// Compose stores the concatenation of parts at key. It reads a part only if that still has its ETag; Key, Size and
	// ETag must be set. There are 1 to 10,000 parts, of at least MinPart (except the last) and at most 5 GiB each. The
	// parts remain. If it fails, it leaves neither an object nor an unfinished upload. o.SHA256 is ignored, since no store
	// can check it. Errors: ErrNotFound (a part is gone), ErrPrecondition (a part has changed, or o.Condition does not
	// hold), ErrUnable (the S3 server has no UploadPartCopy, which only an attempt reveals).
	Compose(ctx context.Context, key string, parts []Object, o PutOptions) (Object, error)
}

// Sweeper is the optional ability to remove what dead writers left in the bucket.
type Sweeper interface {
	// Sweep removes the parts of unfinished multipart uploads to key. It makes writes in progress fail.
	Sweep(ctx context.Context, key string) error
}

// UploadExpirer is the optional capability to remove old unfinished multipart uploads.
type UploadExpirer interface {
	// ExpireUploads removes the parts of unfinished multipart uploads that were begun before a time, to keys that begin with
	// prefix: a key followed by a slash, or empty. It returns their number. MinIO lists uploads only by their key, so nothing
	// is found there; it removes those of more than a day by itself.
	ExpireUploads(ctx context.Context, prefix string, before time.Time) (int, error)
}

// Toucher is the optional ability to set the time of an object without writing it.
type Toucher interface {
	// Touch sets the object's Modified to now. If there is no object, it stores an empty one.
	Touch(ctx context.Context, key string) error
}

// Denier is the optional ability to report the last operation that the store's credentials did not permit.
type Denier interface {
	// LastDenied returns the time and the error, which wraps a PermissionError. The error is nil if there was none.
	LastDenied() (time.Time, error)
}

// Presigner is the optional ability to let clients read objects without credentials.
type Presigner interface {
	// Signer returns a signer of URLs for the time now. It returns the same one (==) as long as the store's credentials
	// and their expiry stay the same, so a cache of URLs can tell when to drop them. Its only I/O is to fetch credentials;
	// with valid ones at hand it is cheap.
	Signer(ctx context.Context, now time.Time) (Signer, error)
	// Host returns the host of all URLs, without a port.
	Host() string
}

// Signer signs with one set of credentials. It does no I/O. Errors: ErrKey.
type Signer interface {
	// PresignGet returns a URL for GET requests, with or without Range, of the object at key. It is valid from signedAt,
	// which is cut to whole seconds and must not lie in the future, until the returned time: for expires (at most 7 days)
	// or until the credentials expire, if that is earlier. It fails if they have expired by signedAt. It does not check
	// whether the object exists.
	PresignGet(key string, signedAt time.Time, expires time.Duration) (url string, until time.Time, err error)
}
