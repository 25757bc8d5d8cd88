package s3

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

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
	in := &s3.PutObjectInput{
		Bucket:        &r.bucket,
		Key:           r.key(key),
		Body:          body,
		ContentLength: &size,
		ContentType:   &o.ContentType,
		Metadata:      o.Metadata,
	}
	in.IfNoneMatch, in.IfMatch = condition(o.Condition)
	out, err := r.client.PutObject(ctx, in, streamed(o.SHA256))
	if err != nil {
		return backend.Object{}, r.failure(err).WrapWrite("put", key, o.Condition, err)
	}
	return s3rules.Stamp(backend.Object{}, header(out.ResultMetadata)), nil
}

// streamed sends a body while it is read.
//
// By default the SDK reads a body twice over plain HTTP, first to hash it for the signature, and refuses one that cannot be
// rewound. With streamed, sha256 is signed and the store refuses other bytes. If sha256 is empty, the body is not signed.
func streamed(sha256 string) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		if sha256 != "" {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				return stack.Finalize.Insert(signedPayload(sha256), (&v4.UnsignedPayload{}).ID(), middleware.Before)
			})
		}
	}
}

// signedPayload sets the payload hash to sign.
func signedPayload(sha256 string) middleware.FinalizeMiddleware {
	return middleware.FinalizeMiddlewareFunc("SignedPayload", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		return next.HandleFinalize(v4.SetPayloadHash(ctx, sha256), in)
	})
}

func condition(c backend.Condition) (ifNoneMatch, ifMatch *string) {
	if c.IfAbsent {
		ifNoneMatch = aws.String("*")
	}
	if c.IfMatch != "" {
		ifMatch = aws.String(string(c.IfMatch))
	}
	return ifNoneMatch, ifMatch
}
