package s3

import (
	"context"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// upload implements s3rules.Upload.
type upload struct {
	store     *Store
	key       string
	id        *string
	condition backend.Condition
}

func (r requests) Begin(ctx context.Context, key string, o backend.PutOptions) (s3rules.Upload, error) {
	out, err := r.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket:      &r.bucket,
		Key:         r.key(key),
		ContentType: &o.ContentType,
		Metadata:    o.Metadata,
	})
	if err != nil {
		return nil, r.failure(err).Wrap("begin upload of", key, err)
	}
	return &upload{store: r.Store, key: key, id: out.UploadId, condition: o.Condition}, nil
}

func (u *upload) Part(ctx context.Context, n int, body io.Reader, size int64, sha256 string) (string, error) {
	out, err := u.store.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:        &u.store.bucket,
		Key:           u.store.key(u.key),
		UploadId:      u.id,
		PartNumber:    aws.Int32(int32(n)),
		Body:          body,
		ContentLength: &size,
	}, streamed(sha256))
	if err != nil {
		return "", u.store.failure(err).Wrap("upload", u.key, err)
	}
	return aws.ToString(out.ETag), nil
}

func (u *upload) Copy(ctx context.Context, n int, src backend.Object) (string, error) {
	out, err := u.store.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket:            &u.store.bucket,
		Key:               u.store.key(u.key),
		UploadId:          u.id,
		PartNumber:        aws.Int32(int32(n)),
		CopySource:        aws.String(httpbinding.EscapePath(u.store.bucket+"/"+u.store.prefix+src.Key, false)),
		CopySourceIfMatch: aws.String(string(src.ETag)),
	})
	if err == nil && out.CopyPartResult == nil {
		err = s3rules.ErrNotCopied
	}
	if err != nil {
		return "", u.store.failure(err).WrapCopy(src.Key, err)
	}
	return aws.ToString(out.CopyPartResult.ETag), nil
}

func (u *upload) Complete(ctx context.Context, etags []string) (backend.Object, error) {
	parts := make([]types.CompletedPart, len(etags))
	for i, etag := range etags {
		parts[i] = types.CompletedPart{ETag: aws.String(etag), PartNumber: aws.Int32(int32(i + 1))}
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket:          &u.store.bucket,
		Key:             u.store.key(u.key),
		UploadId:        u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}
	in.IfNoneMatch, in.IfMatch = condition(u.condition)
	out, err := u.store.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return backend.Object{}, u.store.failure(err).WrapWrite("complete", u.key, u.condition, err)
	}
	o := s3rules.Stamp(backend.Object{}, header(out.ResultMetadata))
	if etag := backend.ETag(aws.ToString(out.ETag)); !etag.Empty() {
		o.ETag = etag
	}
	return o, nil
}

func (u *upload) Abort(ctx context.Context) (gone bool, err error) {
	_, err = u.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.store.bucket, Key: u.store.key(u.key), UploadId: u.id,
	})
	if err == nil {
		return false, nil
	}
	if f := u.store.failure(err); f.Status != http.StatusNotFound {
		return false, f.Wrap("abort upload of", u.key, err)
	}
	return true, nil
}
