package minio

import (
	"context"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Put stores size bytes of body as the object, in one request if possible.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	return s3rules.Put(ctx, requests{s}, s.partSize, key, body, size, o)
}

// Compose stores the concatenation of parts at key, copied by the store.
func (s *Store) Compose(ctx context.Context, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	return s3rules.Compose(ctx, requests{s}, &s.quirks, key, parts, o)
}

// requests implements s3rules.Requests.
type requests struct{ *Store }

func (r requests) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	opts := options(o)
	ctx, resp := recordResponse(setCondition(ctx, &opts, o.Condition))
	_, err := r.client.PutObject(ctx, r.bucket, r.prefix+key, body, size, "", o.SHA256, opts)
	if err != nil {
		return backend.Object{}, r.failure(err).WrapWrite("put", key, o.Condition, err)
	}
	return s3rules.Stamp(backend.Object{}, resp.header()), nil
}

// options returns the options of all writes. The condition goes into the request that creates the object.
func options(o backend.PutOptions) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{
		ContentType: o.ContentType,
		// Otherwise minio-go signs the body in chunks over plain HTTP and does not send the SHA-256.
		DisableContentSha256: true,
	}
	for name, value := range o.Metadata {
		if opts.UserMetadata == nil {
			opts.UserMetadata = make(map[string]string)
		}
		// With its full name: minio-go sends metadata called "expires", for example, as that header.
		opts.UserMetadata["x-amz-meta-"+name] = value
	}
	return opts
}
