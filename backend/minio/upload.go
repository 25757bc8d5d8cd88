package minio

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// upload implements s3rules.Upload.
type upload struct {
	store     *Store
	key       string
	id        string
	condition backend.Condition
}

func (r requests) Begin(ctx context.Context, key string, o backend.PutOptions) (s3rules.Upload, error) {
	id, err := r.client.NewMultipartUpload(ctx, r.bucket, r.prefix+key, options(o))
	if err != nil {
		return nil, r.failure(err).Wrap("begin upload of", key, err)
	}
	return &upload{store: r.Store, key: key, id: id, condition: o.Condition}, nil
}

func (u *upload) Part(ctx context.Context, n int, body io.Reader, size int64, sha256 string) (string, error) {
	s := u.store
	part, err := s.client.PutObjectPart(ctx, s.bucket, s.prefix+u.key, u.id, n, body, size,
		minio.PutObjectPartOptions{Sha256Hex: sha256, DisableContentSha256: true})
	if err != nil {
		return "", s.failure(err).Wrap("upload", u.key, err)
	}
	return part.ETag, nil
}

func (u *upload) Copy(ctx context.Context, n int, src backend.Object) (string, error) {
	s := u.store
	ctx, resp := recordResponse(ctx)
	part, err := s.client.CopyObjectPart(ctx, s.bucket, s.prefix+src.Key, s.bucket, s.prefix+u.key, u.id, n, 0, -1,
		map[string]string{"x-amz-copy-source-if-match": string(src.ETag)})
	if err == nil && part.ETag == "" {
		// S3 may report a failure in the body of a response with status 200, which minio-go ignores.
		err = errors.New("the response has no ETag")
	}
	if errors.Is(err, io.EOF) && resp.header().Get("Content-Length") == "0" {
		err = s3rules.ErrNotCopied
	}
	if err != nil {
		return "", s.failure(err).WrapCopy(src.Key, err)
	}
	return part.ETag, nil
}

func (u *upload) Complete(ctx context.Context, etags []string) (backend.Object, error) {
	parts := make([]minio.CompletePart, len(etags))
	for i, etag := range etags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	var opts minio.PutObjectOptions
	ctx, resp := recordResponse(setCondition(ctx, &opts, u.condition))
	s := u.store
	done, err := s.client.CompleteMultipartUpload(ctx, s.bucket, s.prefix+u.key, u.id, parts, opts)
	if err != nil {
		return backend.Object{}, s.failure(err).WrapWrite("complete", u.key, u.condition, err)
	}
	o := s3rules.Stamp(backend.Object{}, resp.header())
	if etag := quoted(done.ETag); etag != "" {
		o.ETag = etag
	}
	return o, nil
}

func (u *upload) Abort(ctx context.Context) (gone bool, err error) {
	err = u.store.client.AbortMultipartUpload(ctx, u.store.bucket, u.store.prefix+u.key, u.id)
	if err == nil {
		return false, nil
	}
	if f := u.store.failure(err); f.Status != http.StatusNotFound {
		return false, f.Wrap("abort upload of", u.key, err)
	}
	return true, nil
}
