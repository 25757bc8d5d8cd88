package s3rules

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Uploads is a page of unfinished multipart uploads.
type Uploads struct {
	Found []FoundUpload
	More  bool // there is another page, which begins at the markers

	KeyMarker, IDMarker string
}

// FoundUpload is an upload in a listing. Its key may be URL-encoded.
type FoundUpload struct {
	Key, ID string
	Begun   time.Time
}

// Sweeping makes the requests for Sweep, one attempt each.
type Sweeping interface {
	// Uploads lists uploads to keys that begin with key, starting at the markers.
	Uploads(ctx context.Context, key, keyMarker, idMarker string) (Uploads, error)
	// Abort removes the parts of an upload to key.
	Abort(ctx context.Context, key, id string) error
}

// NoUploads interprets a failed listing of uploads: rclone responds with NoSuchUpload if the bucket never had any.
func NoUploads(f Failure, key string, err error) (Uploads, error) {
	if f.Code == "NoSuchUpload" {
		return Uploads{}, nil
	}
	return Uploads{}, f.Wrap("sweep", key, err)
}

// Sweep implements backend.Sweeper. root is the store's prefix in its bucket.
func Sweep(ctx context.Context, s Sweeping, root, key string) error {
	if err := backend.CheckKey(key); err != nil {
		return err
	}
	return eachUpload(ctx, s, root, key, func(found FoundUpload) error {
		// Another key that decodes to this one is safe, since an abort names both key and upload.
		if !readsAs(found.Key, root+key) {
			return nil
		}
		return abortUpload(ctx, s, key, found.ID)
	})
}

// ExpireUploads implements backend.UploadExpirer.
func ExpireUploads(ctx context.Context, s Sweeping, root, prefix string, before time.Time) (expired int, err error) {
	if prefix != "" {
		if err := backend.CheckKey(strings.TrimSuffix(prefix, "/")); err != nil {
			return 0, err
		}
	}
	err = eachUpload(ctx, s, root, prefix, func(found FoundUpload) error {
		if !found.Begun.Before(before) {
			return nil
		}
		// The key may be encoded or not. An abort names both key and upload, so a wrong key does no harm.
		ours := false
		for _, listed := range readings(found.Key) {
			key, below := strings.CutPrefix(listed, root)
			if !below || !strings.HasPrefix(key, prefix) || backend.CheckKey(key) != nil {
				continue
			}
			ours = true
			if err := abortUpload(ctx, s, key, found.ID); err != nil {
				return err
			}
		}
		if ours {
			expired++
		}
		return nil
	})
	return expired, err
}

// eachUpload calls visit for each upload in the listing of uploads to keys that begin with key.
func eachUpload(ctx context.Context, s Sweeping, root, key string, visit func(FoundUpload) error) error {
	var at Uploads
	for {
		page, err := Retry(ctx, func() (Uploads, error) { return s.Uploads(ctx, key, at.KeyMarker, at.IDMarker) })
		if err != nil {
			return err
		}
		for _, found := range page.Found {
			if err := visit(found); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		page.KeyMarker = decodedBelow(root+key, page.KeyMarker)
		if page.KeyMarker == at.KeyMarker && page.IDMarker == at.IDMarker {
			return fmt.Errorf("sweep %s: the listing of uploads does not advance past %q, %q", key, at.KeyMarker, at.IDMarker)
		}
		at = page
	}
}

func abortUpload(ctx context.Context, s Sweeping, key, id string) error {
	_, err := Retry(ctx, func() (bool, error) { return true, s.Abort(ctx, key, id) })
	return err
}

// readsAs reports whether a listed key is key, possibly encoded.
func readsAs(listed, key string) bool { return slices.Contains(readings(listed), key) }

// readings returns the keys that a listed one may stand for. Ceph RGW 16.2 encodes without saying so, and spaces as %20.
func readings(listed string) []string {
	keys := []string{listed}
	for _, decode := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} {
		if plain, err := decode(listed); err == nil && !slices.Contains(keys, plain) {
			keys = append(keys, plain)
		}
	}
	return keys
}

// decodedBelow decodes a listed key if it begins with prefix only after decoding.
func decodedBelow(prefix, listed string) string {
	if plain, err := url.QueryUnescape(listed); err == nil && !strings.HasPrefix(listed, prefix) && strings.HasPrefix(plain, prefix) {
		return plain
	}
	return listed
}
