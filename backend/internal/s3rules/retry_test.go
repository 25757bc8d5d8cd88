package s3rules_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/link"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

func TestNumberOfAttempts(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		failure s3rules.Failure
		op      string
		cause   error
		want    int
	}{
		{s3rules.Failure{Status: 503, Code: "SlowDown"}, "put", nil, 8},
		{s3rules.Failure{Status: 503}, "stat", nil, 8},
		{s3rules.Failure{Status: 429, Code: "TooManyRequests"}, "get", nil, 8},
		{s3rules.Failure{Status: 500, Code: "InternalError"}, "put", nil, 4},
		{s3rules.Failure{Status: 500}, "put", nil, 4},
		{s3rules.Failure{Status: 500, Code: "InternalServerError"}, "get", nil, 4},
		{s3rules.Failure{Status: 504}, "put", nil, 4},
		{s3rules.Failure{Status: 200, Code: "InternalError"}, "complete", nil, 4},
		{s3rules.Failure{Status: 400, Code: "ThrottlingException"}, "put", nil, 8},
		{s3rules.Failure{Status: 502}, "get", nil, 4},
		{s3rules.Failure{Status: 503, Code: "XMinioServerNotInitialized"}, "put", nil, 8},
		{s3rules.Failure{Status: 400, Code: "RequestTimeout"}, "put", nil, 4},
		{s3rules.Failure{Status: 409, Code: "OperationAborted"}, "put", nil, 4},
		{s3rules.Failure{}, "put", refused, 4},
		{s3rules.Failure{}, "get", backend.ErrLate, 2},
		{s3rules.Failure{}, "copy", backend.ErrLate, 1},
		{s3rules.Failure{}, "complete", backend.ErrLate, 1},
		{s3rules.Failure{Status: 403, Code: "RequestTimeTooSkewed"}, "put", nil, 2},
		{s3rules.Failure{Status: 507, Code: "XMinioStorageFull"}, "put", nil, 1},
		{s3rules.Failure{Status: 500, Code: "InternalError", Message: "write: no space left on device"}, "put", nil, 1},
		{s3rules.Failure{Status: 501, Code: "NotImplemented"}, "put", nil, 1},
		{s3rules.Failure{Status: 400, Code: "MalformedXML"}, "put", nil, 1},
		{s3rules.Failure{Status: 403, Code: "AccessDenied"}, "put", nil, 1},
		{s3rules.Failure{Status: 404, Code: "NoSuchKey"}, "get", nil, 1},
		{s3rules.Failure{Status: 405, Code: "MethodNotAllowed"}, "put", nil, 1},
		{s3rules.Failure{Status: 411, Code: "MissingContentLength"}, "put", nil, 1},
		{s3rules.Failure{Status: 412, Code: "PreconditionFailed"}, "put", nil, 1},
		{s3rules.Failure{}, "get", &tls.CertificateVerificationError{Err: errors.New("x509: unknown authority")}, 1},
		{s3rules.Failure{}, "get", &net.DNSError{IsNotFound: true}, 1},
		{s3rules.Failure{}, "get", &net.DNSError{IsTemporary: true}, 4},
		{s3rules.Failure{}, "get", &link.ProxyError{Code: 403}, 1},
		{s3rules.Failure{}, "get", &link.ProxyError{Code: 502}, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			cause := c.cause
			if cause == nil {
				cause = errors.New("refused")
			}
			made := 0
			_, err := s3rules.Retry(t.Context(), func() (int, error) {
				made++
				return 0, c.failure.Wrap(c.op, "a", cause)
			})
			require.ErrorIs(t, err, cause)
			require.Equal(t, c.want, made, "%s: %+v, %v", c.op, c.failure, cause)
		})
	}
}

func TestRetriesOfBrokenStoreTakeUnderASecond(t *testing.T) {
	for range 20 { // the pauses are random
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := s3rules.Retry(t.Context(), func() (int, error) {
				return 0, s3rules.Failure{Status: 500, Code: "InternalError"}.Wrap("put", "a", errors.New("no writable volumes"))
			})
			require.ErrorContains(t, err, "no writable volumes")
			require.Less(t, time.Since(began), time.Second)
		})
	}
}

func TestErrorNamesReasonBeforeDeadline(t *testing.T) {
	busy := s3rules.Failure{Status: 503, Code: "SlowDown"}.Wrap("put", "a", errors.New("503 SlowDown"))
	for name, attempt := range map[string]func(context.Context, int) error{
		"deadline between attempts": func(context.Context, int) error { return busy },
		"deadline during an attempt": func(ctx context.Context, made int) error {
			if made == 1 {
				return busy
			}
			<-ctx.Done()
			return s3rules.Failure{}.Wrap("put", "a", ctx.Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
				defer cancel()
				made := 0
				_, err := s3rules.Retry(ctx, func() (int, error) {
					made++
					return 0, attempt(ctx, made)
				})
				require.Error(t, err)
				require.ErrorContains(t, err, "503 SlowDown")
				if made < 8 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}
