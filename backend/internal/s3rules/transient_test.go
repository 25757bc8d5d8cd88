package s3rules_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/link"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

func TestTransientFailures(t *testing.T) {
	for _, c := range []struct {
		status             int
		code, message      string
		transient, refused bool
	}{
		{status: 500, code: "InternalError", transient: true},
		{status: 502, transient: true},
		{status: 503, code: "SlowDown", transient: true},
		{status: 504, transient: true},
		{status: 408, code: "RequestTimeout", transient: true},
		{status: 425, transient: true},
		{status: 429, code: "TooManyRequests", transient: true},
		{status: 400, code: "RequestTimeout", transient: true},
		{status: 400, code: "IncompleteBody", transient: true},
		{status: 400, code: "ThrottlingException", transient: true},
		{status: 409, code: "OperationAborted", transient: true},
		{status: 200, code: "InternalError", transient: true},

		{status: 507, code: "XMinioStorageFull"},
		{status: 500, code: "InternalError", message: "no space left on device"},
		{status: 501, code: "NotImplemented"},
		{status: 404, code: "NoSuchKey"},
		{status: 404, code: "NoSuchBucket"},
		{status: 403, code: "AccessDenied"},
		{status: 403, code: "RequestTimeTooSkewed"},
		{status: 409, code: "ConditionalRequestConflict"},
		{status: 412, code: "PreconditionFailed"},
		{status: 416, code: "InvalidRange"},
		{status: 423},

		{status: 400, code: "MalformedXML", refused: true},
		{status: 404, code: "NoSuchUpload", refused: true},
		{status: 411, code: "MissingContentLength", refused: true},
		{status: 413, code: "EntityTooLarge", refused: true},
	} {
		err := s3rules.Failure{Status: c.status, Code: c.code, Message: c.message}.Wrap("put", "a", errors.New("cause"))
		require.Equal(t, c.transient, backend.Transient(err), "%d %s", c.status, c.code)
		require.Equal(t, c.refused, backend.Refused(err), "%d %s", c.status, c.code)
	}
}

func TestTransientFailuresWithoutAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		op    string
		cause error
		want  bool
	}{
		"connection refused":        {"get", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"connection closed":         {"get", io.EOF, true},
		"stall":                     {"get", backend.ErrLate, true},
		"stall of a copy":           {"copy", backend.ErrLate, true},
		"name does not resolve":     {"get", &net.DNSError{IsNotFound: true}, true},
		"proxy fails":               {"get", &link.ProxyError{Code: 502}, true},
		"deadline":                  {"get", context.DeadlineExceeded, true},
		"cancellation":              {"get", context.Canceled, false},
		"proxy refuses":             {"get", &link.ProxyError{Code: 403}, false},
		"certificate is unknown":    {"get", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, false},
		"copy treated as an upload": {"copy", s3rules.ErrNotCopied, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := s3rules.Failure{}.Wrap(c.op, "a", c.cause)
			require.Equal(t, c.want, backend.Transient(err))
			require.False(t, backend.Refused(err))
		})
	}
}

func TestRefusedConditionIsNotTransient(t *testing.T) {
	err := s3rules.Failure{Status: 400, Code: "InvalidArgument"}.WrapWrite("put", "a", backend.Condition{IfAbsent: true}, errors.New("cause"))
	require.ErrorIs(t, err, backend.ErrUnable)
	require.False(t, backend.Transient(err))
	require.False(t, backend.Refused(err), "ErrUnable stands for it")
}

func TestBrokenBodyIsTransient(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		err  error
		want bool
	}{
		"small":                     {1000, io.ErrUnexpectedEOF, true},
		"large":                     {large, errors.New("connection reset"), true},
		"read after a cancellation": {large, context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &breaking{etag: `"x"`, data: make([]byte, max(c.size, 1001)), breaks: []error{c.err, c.err, c.err, c.err, c.err}}
				_, err := b.read(t)
				require.Error(t, err)
				require.Equal(t, c.want, backend.Transient(err), err)
			})
		})
	}
}

func TestFailedResumeIsNotTransient(t *testing.T) {
	b := &breaking{etag: `"x"`, data: make([]byte, large), breaks: []error{errors.New("connection reset")}}
	body, _, err := s3rules.Get(t.Context(), "a", backend.Range{}, func(ctx context.Context, r string) (http.Header, io.ReadCloser, error) {
		if len(b.ranges) == 1 {
			return nil, nil, s3rules.Failure{Status: 404, Code: "NoSuchKey"}.Wrap("get", "a", errors.New("deleted"))
		}
		return b.get(ctx, r)
	})
	require.NoError(t, err)
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, backend.ErrNotFound)
	require.False(t, backend.Transient(err))
}

func TestBodyErrorIsNotTransient(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for _, size := range []int64{20, 200} { // in one request, in parts
		for name, body := range map[string]io.Reader{
			"ends early":       strings.NewReader("short"),
			"fails":            io.MultiReader(strings.NewReader("short"), iotest.ErrReader(reset)),
			"cannot be hashed": struct{ io.ReadSeeker }{failingSeeker{bytes.NewReader([]byte("short")), reset}},
		} {
			t.Run(fmt.Sprint(name, " of ", size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, err := s3rules.Put(t.Context(), new(recorder), 100, "key", body, size, backend.PutOptions{})
					require.Error(t, err)
					_, ok := errors.AsType[*backend.BodyError](err)
					require.True(t, ok)
					require.False(t, backend.Transient(err))
				})
			})
		}
	}
}

func TestFailedAbortIsNotTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := strings.NewReader(strings.Repeat("x", 25))
		_, err := s3rules.Put(t.Context(), &unabortable{}, 10, "key", data, 25, backend.PutOptions{SHA256: sum(nil)})
		require.ErrorIs(t, err, backend.ErrChecksum)
		require.ErrorContains(t, err, "abort failed")
		require.False(t, backend.Transient(err))
	})
}

// unabortable fails to abort.
type unabortable struct{ recorder }

func (u *unabortable) Begin(context.Context, string, backend.PutOptions) (s3rules.Upload, error) {
	return u, nil
}

func (u *unabortable) Abort(context.Context) (bool, error) {
	return false, s3rules.Failure{Status: 503, Code: "SlowDown"}.Wrap("abort upload of", "key", errors.New("abort failed"))
}

// failingSeeker fails with err at its end.
type failingSeeker struct {
	*bytes.Reader
	err error
}

func (f failingSeeker) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}
