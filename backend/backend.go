// Package backend is the object store that holds all of entrepot's state.
//
// Here lives the one small interface that the stores share, with its contract in the comments of its methods, and the
// optional abilities that a store may have besides. The stores are packages of their own: backend/fs (a local folder),
// backend/s3 (aws-sdk-go-v2) and backend/minio (minio-go). backend/backendtest is the contract as a test suite; every
// store passes all of it. What a key means is not known here: see package mirror.
package backend

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that callers decide by. They are wrapped with the operation and the key: test with errors.Is.
var (
	// ErrNotFound: there is no object at the key.
	ErrNotFound = errors.New("no such object")
	// ErrPrecondition: a condition of the call was not met, and nothing was changed.
	ErrPrecondition = errors.New("precondition failed")
	// ErrChecksum: the bytes offered do not have the SHA-256 that was announced; the object was not stored.
	ErrChecksum = errors.New("bytes do not match their checksum")
	// ErrRange: the range asked for begins at or past the object's end.
	ErrRange = errors.New("range not satisfiable")
	// ErrNoBucket: the bucket (for a file store, the folder) does not exist.
	ErrNoBucket = errors.New("no such bucket")
	// ErrDenied: the credentials are wrong, or do not permit the operation.
	ErrDenied = errors.New("access denied")
	// ErrKey: the key is not one that a store takes (see Store).
	ErrKey = errors.New("invalid key")
	// ErrUnable: the server behind the store has no such operation, and nothing was changed.
	ErrUnable = errors.New("the store's server cannot do that")
)

// ETag is the store's name for one version of an object's bytes, opaque and exactly as the store gave it.
type ETag string

// Object describes a stored object.
type Object struct {
	Key         string
	Size        int64 // bytes
	ETag        ETag
	ContentType string            // as given to Put; empty in listings
	Metadata    map[string]string // as given to Put, names in lower case; nil in listings
	Modified    time.Time         // by the store's clock; zero in what Put and Compose return
	AsOf        time.Time         // the store's clock when it answered; zero in listings
}

// Range is a part of an object's bytes. The zero value is the whole object.
type Range struct {
	Offset int64
	Length int64 // 0: to the object's end
}

// Condition makes a write depend on what is at the key. The zero value is no condition.
type Condition struct {
	IfAbsent bool // write only where there is no object
	IfMatch  ETag // write only over this version
}

// PutOptions are what an object gets besides its bytes. The zero value is fine.
type PutOptions struct {
	ContentType string            // empty: application/octet-stream
	Metadata    map[string]string // names [a-z0-9-], values printable ASCII
	// SHA256 is the lower-case hex SHA-256 of the bytes, where the caller knows what it has to be: the store itself
	// refuses any others, with ErrChecksum.
	SHA256    string
	Condition Condition
}

// Store is a bucket of objects. Its methods may be called concurrently, obey their context, and do their own retries.
//
// Keys are slash-separated paths of 1 to 900 bytes of UTF-8, with no segment that is empty, "." or "..", be it with
// spaces around, no backslash and no control character; any other is refused with ErrKey by every method, before
// anything is done. A colon is an ordinary character. No key is also the folder of another ("a" and "a/b"): where both
// are written the second may fail.
//
// Any method may answer ErrNoBucket or ErrDenied.
type Store interface {
	// Get opens the bytes that r names. The Object describes the whole object, not the part. Errors: ErrNotFound,
	// ErrRange. A read that cannot be finished fails with an error other than io.EOF: it never ends early as if
	// complete. The caller closes the reader; closing early is cheap.
	Get(ctx context.Context, key string, r Range) (io.ReadCloser, Object, error)

	// Stat describes the object. Errors: ErrNotFound, which may also be all that a store can say of a missing bucket.
	Stat(ctx context.Context, key string) (Object, error)

	// Put stores exactly size bytes of body as the object, replacing what was there; other readers see either all of
	// it or none of it. A body that ends early, or a failing one, is an error and nothing is stored. Nothing past
	// size bytes is read of it, and nothing at all once Put has returned; a read under way is waited for, so a body
	// that can block has to obey ctx itself. Where body is an io.ReadSeeker the store may rewind it, to hash it first or
	// to retry; others are sent once and held in no buffer larger than 64 KiB. Sizes past what the store takes in one
	// request are sent in parts. Errors: ErrPrecondition, ErrChecksum. A store that retries may meet what the same call
	// has written before its answer got lost: where it matters who won, an ErrPrecondition is a reason to look.
	Put(ctx context.Context, key string, body io.Reader, size int64, o PutOptions) (Object, error)

	// Delete removes the object; one that does not exist is no error.
	Delete(ctx context.Context, key string) error

	// List yields the objects whose keys begin with prefix, in ascending byte order of the keys, those after the key
	// after (empty: from the first). It pages as it is consumed. An error ends it. A prefix is empty, a key, or a key
	// with a slash behind it; with any other nothing begins.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
}

// MinPart is the least size in bytes of any but the last part of a Composer's object: S3's own limit.
const MinPart = 5 << 20

// Composer is the optional ability to make an object out of others without moving their bytes through this process.
type Composer interface {
	// Compose stores at key the concatenation of parts, each read only if it still has its ETag (Key, Size and ETag
	// must be set). There are 1 to 10,000 of them, each but the last at least MinPart and none over 5 GiB. The parts
	// stay. A composition that fails leaves nothing, neither an object nor parts of an upload. o.SHA256 is ignored:
	// no store can check it. Errors: ErrNotFound (a part is gone), ErrPrecondition (a part has changed, or
	// o.Condition is not met), ErrUnable (S3 servers without UploadPartCopy, of which one learns only by asking).
	Compose(ctx context.Context, key string, parts []Object, o PutOptions) (Object, error)
}

// Sweeper is the optional ability to remove what writers that died have left in the bucket, of a store that keeps such.
type Sweeper interface {
	// Sweep removes what there is of writes to key that have not become an object: the parts of multipart uploads. A
	// write that is still under way fails by it.
	Sweep(ctx context.Context, key string) error
}

// Denier is the optional ability to tell what the store's credentials were last not permitted, whoever asked for it.
type Denier interface {
	// LastDenied returns when that was, and the error, which wraps a PermissionError; nil: never.
	LastDenied() (time.Time, error)
}

// Presigner is the optional ability to let a client read an object without credentials.
type Presigner interface {
	// Signer returns what signs URLs at the time now. It is the same (==) for as long as the store's credentials are
	// the same and expire at the same time: who keeps URLs can tell by it when they are to be dropped. The only I/O is
	// that of fetching credentials, and with credentials at hand that last it is cheap.
	Signer(ctx context.Context, now time.Time) (Signer, error)
	// Host is that of all URLs, without a port.
	Host() string
}

// Signer signs with one set of credentials. It does no I/O. Errors: ErrKey.
type Signer interface {
	// PresignGet returns a URL that answers GET, with or without Range, for the object at key, from signedAt (which
	// may lie in the past, not in the future; whole seconds of it count) until the time that it returns: after expires
	// (at most 7 days), or when the credentials expire, if that is earlier. Credentials that have expired by signedAt
	// are an error. Whether the object exists is not looked at.
	PresignGet(key string, signedAt time.Time, expires time.Duration) (url string, until time.Time, err error)
}
