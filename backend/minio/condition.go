package minio

import (
	"context"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

type ifMatchKey struct{}

// setCondition adds a condition to the options of a request. The request must use the returned context.
func setCondition(ctx context.Context, opts *minio.PutObjectOptions, c backend.Condition) context.Context {
	if c.IfAbsent {
		opts.SetMatchETagExcept("*")
	}
	if c.IfMatch != "" {
		bare := string(c.IfMatch.Unquoted())
		opts.SetMatchETag(bare) // adds quotes
		if string(c.IfMatch) != `"`+bare+`"` {
			return context.WithValue(ctx, ifMatchKey{}, string(c.IfMatch))
		}
	}
	return ctx
}

// literal sends If-Match unchanged if minio-go would add quotes. Since the header is signed, it signs the request again.
type literal struct {
	next   http.RoundTripper
	region string
	from   *s3rules.Credentials
}

func (l literal) RoundTrip(r *http.Request) (*http.Response, error) {
	etag, ok := r.Context().Value(ifMatchKey{}).(string)
	if !ok || r.Header.Get("If-Match") == "" {
		return l.next.RoundTrip(r)
	}
	c, err := l.from.Retrieve(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("sign If-Match: %w", err)
	}
	plain := r.Clone(r.Context())
	plain.Header.Set("If-Match", etag)
	plain.Header.Del("Authorization")
	return l.next.RoundTrip(signer.SignV4(*plain, c.AccessKeyID, c.SecretAccessKey, c.SessionToken, l.region))
}
