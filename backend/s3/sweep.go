package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// sweeping implements s3rules.Sweeping.
type sweeping struct{ *Store }

func (s sweeping) Uploads(ctx context.Context, key, keyMarker, idMarker string) (s3rules.Uploads, error) {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: s.key(key)}
	if keyMarker != "" {
		in.KeyMarker, in.UploadIdMarker = &keyMarker, &idMarker
	}
	out, err := s.client.ListMultipartUploads(ctx, in)
	if err != nil {
		return s3rules.NoUploads(s.failure(err), key, err)
	}
	page := s3rules.Uploads{
		More:      aws.ToBool(out.IsTruncated),
		KeyMarker: aws.ToString(out.NextKeyMarker), IDMarker: aws.ToString(out.NextUploadIdMarker),
	}
	for _, found := range out.Uploads {
		page.Found = append(page.Found, s3rules.FoundUpload{Key: aws.ToString(found.Key), ID: aws.ToString(found.UploadId), Begun: aws.ToTime(found.Initiated)})
	}
	return page, nil
}

func (s sweeping) Abort(ctx context.Context, key, id string) error {
	_, err := (&upload{store: s.Store, key: key, id: &id}).Abort(ctx)
	return err
}
