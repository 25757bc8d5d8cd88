package s3

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// Get opens the bytes that r selects.
func (s *Store) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	return s3rules.Get(ctx, key, r, func(ctx context.Context, rangeHeader string) (http.Header, io.ReadCloser, error) {
		in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key)}
		if rangeHeader != "" {
			in.Range = &rangeHeader
		}
		out, err := s.client.GetObject(ctx, in)
		if err != nil {
			return nil, nil, s.failure(err).Wrap("get", key, err)
		}
		return header(out.ResultMetadata), out.Body, nil
	})
}

// header returns the header of the response. The SDK's output omits the store's clock and confuses absent and zero.
func header(m middleware.Metadata) http.Header {
	if resp, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok {
		return resp.Header
	}
	return nil
}

// List yields the objects whose keys begin with prefix and come after the key after. It skips objects of other programs
// whose keys are not valid for a Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		if !backend.CanPrefix(prefix) {
			return
		}
		in := &s3.ListObjectsV2Input{
			Bucket: &s.bucket,
			Prefix: s.key(prefix),
			// XML cannot represent all characters of keys.
			EncodingType: types.EncodingTypeUrl,
		}
		if after != "" {
			in.StartAfter = s.key(after)
		}
		listing := s3rules.Listing{Requests: requests{s}, Quirks: &s.quirks, Root: s.prefix, Prefix: prefix}
		for pages := s3.NewListObjectsV2Paginator(s.client, in); pages.HasMorePages(); {
			page, err := s3rules.Retry(ctx, func() (*s3.ListObjectsV2Output, error) {
				page, err := pages.NextPage(ctx)
				if err != nil {
					err = s.failure(err).Wrap("list", prefix, err)
				}
				return page, err
			})
			if err != nil {
				yield(backend.Object{}, err)
				return
			}
			for _, found := range page.Contents {
				key, below, err := listedKey(ctx, listing, found, page.EncodingType)
				if err != nil {
					yield(backend.Object{}, fmt.Errorf("list %s: key %q: %w", prefix, aws.ToString(found.Key), err))
					return
				}
				if !below || backend.CheckKey(key) != nil {
					continue
				}
				o := backend.Object{Key: key, Size: aws.ToInt64(found.Size), Modified: aws.ToTime(found.LastModified)}
				if etag := backend.ETag(aws.ToString(found.ETag)); !etag.Empty() {
					o.ETag = etag
				}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

func listedKey(ctx context.Context, l s3rules.Listing, found types.Object, encoding types.EncodingType) (key string, below bool, err error) {
	key = aws.ToString(found.Key)
	if encoding != types.EncodingTypeUrl {
		return l.Key(ctx, key)
	}
	if key, err = url.QueryUnescape(key); err != nil {
		return "", false, err
	}
	key, below = strings.CutPrefix(key, l.Root)
	return key, below && strings.HasPrefix(key, l.Prefix), nil
}
