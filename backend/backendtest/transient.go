package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Transient checks backend.Transient and backend.Refused for the errors of an S3 store. open opens a store at a URL with a
// bound on stalls.
func Transient(t *testing.T, open func(t *testing.T, endpoint string, stall time.Duration) backend.Store) {
	type calls = map[string]func(context.Context, backend.Store) error
	all := calls{
		"get": func(ctx context.Context, s backend.Store) error {
			body, _, err := s.Get(ctx, "dir/key", backend.Range{})
			if err == nil {
				defer body.Close()
				_, err = io.Copy(io.Discard, body)
			}
			return err
		},
		"put": func(ctx context.Context, s backend.Store) error {
			_, err := s.Put(ctx, "dir/key", bytes.NewReader([]byte("x")), 1, backend.PutOptions{})
			return err
		},
		"put in parts": func(ctx context.Context, s backend.Store) error {
			_, err := s.Put(ctx, "dir/key", bytes.NewReader(make([]byte, overflow)), overflow, backend.PutOptions{})
			return err
		},
		"list": func(ctx context.Context, s backend.Store) (err error) {
			for _, err = range s.List(ctx, "", "") {
			}
			return err
		},
		"delete": func(ctx context.Context, s backend.Store) error { return s.Delete(ctx, "dir/key") },
		"compose": func(ctx context.Context, s backend.Store) error {
			_, err := compose(ctx, s, "dir/key", []backend.Object{{Key: "dir/part", Size: 1, ETag: `"x"`}}, backend.PutOptions{})
			return err
		},
	}
	only := func(name string) calls { return calls{name: all[name]} }
	responding := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			drain(r)
			refuse(w, status, code)
		}
	}
	hanging := func(_ http.ResponseWriter, r *http.Request) {
		drain(r)
		<-r.Context().Done()
	}
	for name, c := range map[string]struct {
		respond            http.HandlerFunc // nil: nothing listens
		calls              calls
		transient, refused bool
	}{
		"no server":          {nil, all, true, false},
		"closed connections": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, all, true, false},
		"stall":              {hanging, only("get"), true, false},
		"broken bodies": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("ETag", `"x"`)
			_, _ = w.Write(make([]byte, 10))
			panic(http.ErrAbortHandler)
		}, only("get"), true, false},
		"500":                      {responding(http.StatusInternalServerError, "InternalError"), all, true, false},
		"502 without a code":       {responding(http.StatusBadGateway, ""), all, true, false},
		"504":                      {responding(http.StatusGatewayTimeout, "GatewayTimeout"), all, true, false},
		"408":                      {responding(http.StatusRequestTimeout, "RequestTimeout"), all, true, false},
		"425":                      {responding(http.StatusTooEarly, "TooEarly"), all, true, false},
		"409 OperationAborted":     {responding(http.StatusConflict, "OperationAborted"), all, true, false},
		"400 IncompleteBody":       {responding(http.StatusBadRequest, "IncompleteBody"), all, true, false},
		"400 MalformedXML":         {responding(http.StatusBadRequest, "MalformedXML"), only("put"), false, true},
		"411 MissingContentLength": {responding(http.StatusLengthRequired, "MissingContentLength"), only("put"), false, true},
		"403 AccessDenied":         {responding(http.StatusForbidden, "AccessDenied"), all, false, false},
		"404 NoSuchBucket":         {responding(http.StatusNotFound, "NoSuchBucket"), all, false, false},
		"412 PreconditionFailed":   {responding(http.StatusPreconditionFailed, "PreconditionFailed"), only("put"), false, false},
		"507 XMinioStorageFull":    {responding(http.StatusInsufficientStorage, "XMinioStorageFull"), only("put"), false, false},
		"501 NotImplemented":       {responding(http.StatusNotImplemented, "NotImplemented"), all, false, false},
	} {
		for call, do := range c.calls {
			t.Run(name+", "+call, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(c.respond)
				t.Cleanup(server.Close)
				if c.respond == nil {
					server.Close()
				}
				err := do(t.Context(), open(t, server.URL, 200*time.Millisecond))
				require.Error(t, err)
				require.Equal(t, c.transient, backend.Transient(err), "transient: %v", err)
				require.Equal(t, c.refused, backend.Refused(err), "refused: %v", err)
			})
		}
	}
	t.Run("cancellation", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			hanging(w, r)
		}))
		t.Cleanup(server.Close)
		err := all["get"](ctx, open(t, server.URL, time.Minute))
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, backend.Transient(err))
	})
	t.Run("deadline", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(hanging))
		t.Cleanup(server.Close)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := all["get"](ctx, open(t, server.URL, time.Minute))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, backend.Transient(err))
	})
	t.Run("failing body", func(t *testing.T) {
		server := httptest.NewServer(responding(http.StatusInternalServerError, "InternalError"))
		t.Cleanup(server.Close)
		reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
		_, err := open(t, server.URL, time.Minute).Put(t.Context(), "dir/key", iotest.ErrReader(reset), 1, backend.PutOptions{SHA256: sha(nil)})
		_, ok := errors.AsType[*backend.BodyError](err)
		require.True(t, ok, err)
		require.False(t, backend.Transient(err))
	})
}
