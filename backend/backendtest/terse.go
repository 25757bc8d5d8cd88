package backendtest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Terse checks a store whose server omits what S3 promises to send. endpoint is an S3 server, and open opens a store at
// another URL.
func Terse(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	t.Run("responses to writes have no ETag", func(t *testing.T) {
		// Ceph RGW 16.2 omits it when it completes an upload.
		proxy := edited(t, endpoint, func(r *http.Request, h http.Header, body []byte) []byte {
			if r.Method != http.MethodGet && r.Method != http.MethodHead && !r.URL.Query().Has("partNumber") {
				h.Del("ETag")
			}
			if r.Method == http.MethodPost {
				body = regexp.MustCompile("<ETag>.*</ETag>").ReplaceAll(body, []byte("<ETag></ETag>"))
			}
			return body
		})
		run(t, func(t *testing.T) backend.Store { return open(t, proxy) }, func(group string, p promise) bool {
			return !p.alone && (group == "put" || group == "compose" || group == "conditions")
		})
	})
	t.Run("parts have no ETag", func(t *testing.T) {
		proxy := edited(t, endpoint, func(r *http.Request, h http.Header, body []byte) []byte {
			if r.URL.Query().Has("partNumber") {
				h.Del("ETag")
				body = regexp.MustCompile("<ETag>.*</ETag>").ReplaceAll(body, nil)
			}
			return body
		})
		s := open(t, proxy)
		data := content("terse", overflow)
		_, err := s.Put(t.Context(), "dir/parts", bytes.NewReader(data), overflow, backend.PutOptions{})
		require.ErrorContains(t, err, "no ETag")
		requireNothing(t, s, "dir/parts")
		part := put(t, s, "dir/part", data[:1000], backend.PutOptions{})
		_, err = compose(t.Context(), s, "dir/whole", []backend.Object{part}, backend.PutOptions{})
		require.ErrorContains(t, err, "no ETag")
		requireNothing(t, s, "dir/whole")
	})
	t.Run("listings do not say if keys are encoded", func(t *testing.T) {
		proxy := edited(t, endpoint, func(_ *http.Request, _ http.Header, body []byte) []byte {
			return regexp.MustCompile("<EncodingType>[^<]*</EncodingType>").ReplaceAll(body, nil)
		})
		run(t, func(t *testing.T) backend.Store { return open(t, proxy) }, func(group string, p promise) bool {
			return group == "keys" || group == "list" || group == "sweep"
		})
	})
	t.Run("no uploads in the bucket", func(t *testing.T) {
		for code, want := range map[string]error{"NoSuchUpload": nil, "NoSuchBucket": backend.ErrNoBucket} { // NoSuchUpload: rclone
			forward := Proxy(t, endpoint, func(*http.Request) {})
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("uploads") && r.Method == http.MethodGet {
					refuse(w, http.StatusNotFound, code)
					return
				}
				forward.ServeHTTP(w, r)
			}))
			t.Cleanup(proxy.Close)
			require.ErrorIs(t, open(t, proxy.URL).(backend.Sweeper).Sweep(t.Context(), "dir/key"), want, code)
		}
	})
}

// edited returns the URL of a proxy that edits the server's responses, except for those to HEAD and those with objects.
func edited(t *testing.T, endpoint string, edit func(r *http.Request, h http.Header, body []byte) []byte) string {
	t.Helper()
	forward := Proxy(t, endpoint, func(*http.Request) {})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if r.Method == http.MethodHead || r.Method == http.MethodGet && !query.Has("list-type") && !query.Has("uploads") {
			forward.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		forward.ServeHTTP(recorded, r)
		body := edit(r, recorded.Header(), recorded.Body.Bytes())
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body) // the client may have left
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
