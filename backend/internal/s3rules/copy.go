package s3rules

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
)

// copyPart makes the store copy an object into part n if it still has its ETag.
func copyPart(ctx context.Context, to Requests, q *Quirks, u Upload, n int, src backend.Object) (string, error) {
	etag, err := copyIfMatch(ctx, to, q, u, n, src)
	if err == nil {
		err = checkCopy(ctx, to, q, src, backend.ETag(etag))
	}
	return etag, err
}

// checkCopy detects a store that ignores the condition of a copy (Ceph RGW 16.2). The ETags of parts, and of objects that were
// not sent in parts, are usually MD5s and can be compared. They are not if the bucket encrypts with KMS keys, so a difference
// only counts if the object has changed.
func checkCopy(ctx context.Context, to Requests, q *Quirks, src backend.Object, copied backend.ETag) error {
	if copied.Empty() {
		return responded{error: fmt.Errorf("copy %s: the response has no ETag", src.Key)}
	}
	if q.opaqueETags.Load() || !isMD5(src.ETag) || !isMD5(copied) || strings.EqualFold(string(src.ETag.Unquoted()), string(copied.Unquoted())) {
		return nil
	}
	now, err := to.Stat(ctx, src.Key)
	switch {
	case err != nil:
		return responded{error: err} // the copy itself has finished
	case now.ETag.Same(src.ETag):
		q.opaqueETags.Store(true)
		return nil
	}
	return responded{error: fmt.Errorf("copy %s: %w: the store copied another version with the ETag %s", src.Key, backend.ErrPrecondition, copied)}
}

var md5 = regexp.MustCompile("^[0-9A-Fa-f]{32}$")

func isMD5(etag backend.ETag) bool { return md5.MatchString(string(etag.Unquoted())) }

// copyIfMatch copies with the ETag in the form that the store accepts. Some stores refuse the right ETag in quotes, so
// copyIfMatch only believes a refusal if the object has changed.
func copyIfMatch(ctx context.Context, to Requests, q *Quirks, u Upload, n int, src backend.Object) (string, error) {
	ask := func(unquoted bool) (string, error) {
		src := src
		if unquoted {
			src.ETag = src.ETag.Unquoted()
		}
		return Retry(ctx, func() (string, error) { return u.Copy(ctx, n, src) })
	}
	unquoted := q.unquotedCopies.Load()
	etag, refused := ask(unquoted)
	if !errors.Is(refused, backend.ErrPrecondition) {
		return etag, refused
	}
	if !unchanged(ctx, to, src) {
		return "", refused
	}
	etag, err := ask(!unquoted)
	if err == nil {
		q.unquotedCopies.Store(!unquoted)
		return etag, nil
	}
	if errors.Is(err, backend.ErrPrecondition) && unchanged(ctx, to, src) {
		return "", fmt.Errorf("copy %s: %w: the store refuses the object's own ETag %s: %v", src.Key, backend.ErrUnable, src.ETag, refused) //nolint:errorlint // callers must not decide by it
	}
	return "", err
}

// unchanged reports whether the object certainly still has its ETag.
func unchanged(ctx context.Context, to Requests, o backend.Object) bool {
	now, err := to.Stat(ctx, o.Key)
	return err == nil && !now.ETag.Empty() && now.ETag.Same(o.ETag)
}
