package minio

import (
	"context"

	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// sweeping implements s3rules.Sweeping. It avoids minio-go's RemoveIncompleteUpload, whose errors do not say whether
// listing or aborting is not permitted.
type sweeping struct{ *Store }

func (s sweeping) Uploads(ctx context.Context, key, keyMarker, idMarker string) (s3rules.Uploads, error) {
	found, err := s.client.ListMultipartUploads(ctx, s.bucket, s.prefix+key, keyMarker, idMarker, "", 1000)
	if err != nil {
		return s3rules.NoUploads(s.failure(err), key, err)
	}
	page := s3rules.Uploads{More: found.IsTruncated, KeyMarker: found.NextKeyMarker, IDMarker: found.NextUploadIDMarker}
	for _, u := range found.Uploads {
		page.Found = append(page.Found, s3rules.FoundUpload{Key: u.Key, ID: u.UploadID, Begun: u.Initiated})
	}
	return page, nil
}

func (s sweeping) Abort(ctx context.Context, key, id string) error {
	_, err := (&upload{store: s.Store, key: key, id: id}).Abort(ctx)
	return err
}
