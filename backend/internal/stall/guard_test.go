package stall_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/stall"
)

// store is a transport that accepts a request's body in steps and sends a response in steps, with pauses before each.
type store struct {
	take, response, send time.Duration
	steps                int
}

func (s store) RoundTrip(r *http.Request) (*http.Response, error) {
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	if r.Body != nil {
		defer r.Body.Close()
		for buf := make([]byte, 1000); ; {
			if _, err := r.Body.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			if err := wait(s.take); err != nil {
				return nil, err
			}
		}
	}
	if err := wait(s.response); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: &steps{left: s.steps, pause: func() error { return wait(s.send) }}}, nil
}

type steps struct {
	left  int
	pause func() error
}

func (s *steps) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	if err := s.pause(); err != nil {
		return 0, err
	}
	p[0] = 'x'
	return 1, nil
}

func (s *steps) Close() error { return nil }

// slow is a reader with a pause before each read.
type slow struct {
	io.Reader
	pause time.Duration
}

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Reader.Read(p)
}

const bound = 20 * time.Second

// request makes a request through a guard and reads the response with pauses.
func request(t *testing.T, s store, body io.Reader, minBytes int64, reading time.Duration) error {
	t.Helper()
	g := &stall.Guard{Next: s, Bounds: func(*http.Request) stall.Bounds {
		return stall.Bounds{Send: bound, Response: bound, Read: bound, MinBytes: minBytes}
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://store/", body)
	require.NoError(t, err)
	resp, err := g.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, slow{resp.Body, reading})
	return err
}

func TestGuardCountsOnlyWaitsForStore(t *testing.T) {
	data := make([]byte, 5000)
	for name, c := range map[string]struct {
		store    store
		body     io.Reader
		minBytes int64
		reading  time.Duration
		late     string
	}{
		"every wait is just below the bound": {
			store: store{take: 19 * time.Second, response: 19 * time.Second, send: 19 * time.Second, steps: 5}, body: bytes.NewReader(data),
		},
		"slow request body": {store: store{steps: 5}, body: slow{bytes.NewReader(data), time.Hour}},
		"slow reader":       {store: store{send: time.Second, steps: 5}, minBytes: 5, reading: time.Hour},
		"the store accepts no more": {
			store: store{take: 21 * time.Second, steps: 5}, body: slow{bytes.NewReader(data), time.Minute}, late: "accepted no more",
		},
		"no response":                           {store: store{response: 21 * time.Second}, body: bytes.NewReader(data), late: "no response"},
		"no response to a request without body": {store: store{response: 21 * time.Second}, late: "no response"},
		"the response stops":                    {store: store{send: 21 * time.Second, steps: 5}, reading: time.Hour, late: "the response stopped"},
		"the response is too slow":              {store: store{send: 10 * time.Second, steps: 50}, minBytes: 20, late: "2 bytes in"},
		"the response is just fast enough":      {store: store{send: 10 * time.Second, steps: 50}, minBytes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := request(t, c.store, c.body, c.minBytes, c.reading)
				if c.late == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, backend.ErrLate)
				require.ErrorContains(t, err, c.late)
			})
		})
	}
}

func TestDeadlineOfCallerIsNotErrLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &stall.Guard{Next: store{response: time.Hour}, Bounds: func(*http.Request) stall.Bounds { return stall.Bounds{Response: bound} }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://store/", nil)
		require.NoError(t, err)
		_, err = g.RoundTrip(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, backend.ErrLate)
	})
}

// timeout is the error of a dialer or of a TLS handshake.
type timeout struct{ error }

func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func (t timeout) RoundTrip(*http.Request) (*http.Response, error) { return nil, t }

func TestConnectTimeoutIsErrLate(t *testing.T) {
	g := &stall.Guard{Next: timeout{errors.New("dial: i/o timeout")}, Bounds: func(*http.Request) stall.Bounds { return stall.Bounds{} }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://store/", nil)
	require.NoError(t, err)
	_, err = g.RoundTrip(req)
	require.ErrorIs(t, err, backend.ErrLate)
	require.ErrorContains(t, err, "i/o timeout")
}
