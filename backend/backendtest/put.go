package backendtest

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

var putPromises = []promise{
	{name: "objects of any size are stored", once: true, check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{0, 1, 100_000, PartSize, PartSize + 1, 2*PartSize + 1000} {
			data := content("sizes", size)
			for name, body := range map[string]io.Reader{
				"rewindable": rewindable{bytes.NewReader(data)}, "stream": stream{t, bytes.NewReader(data)},
			} {
				obj, err := s.Put(t.Context(), "dir/"+name, body, int64(size), backend.PutOptions{})
				require.NoError(t, err, "%s of %d bytes", name, size)
				requireObject(t, s, "dir/"+name, data)
				found, err := s.Stat(t.Context(), "dir/"+name)
				require.NoError(t, err)
				require.Equal(t, obj.ETag, found.ETag)
			}
		}
	}},
	{name: "all methods agree about an object", check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{10, PartSize + 10} {
			data := content("same", size)
			o := backend.PutOptions{
				ContentType: "application/vnd.oci.image.manifest.v1+json",
				Metadata:    map[string]string{"digest": "sha256:0123", "expires": "never", "x": "~ !\"#$%&'()*+,-./:;<=>?@[]^_`{|}"},
			}
			before := time.Now().Add(-2 * time.Second) // HTTP dates have whole seconds
			obj := put(t, s, "dir/same", data, o)
			require.True(t, obj.Modified.IsZero())
			obj.AsOf = time.Time{}

			stat, err := s.Stat(t.Context(), "dir/same")
			require.NoError(t, err)
			_, got := get(t, s, "dir/same", backend.Range{Offset: 2, Length: 3})
			for _, o := range []*backend.Object{&stat, &got} {
				require.WithinRange(t, o.AsOf, before, time.Now().Add(time.Second))
				require.WithinRange(t, o.Modified, before, time.Now().Add(time.Second))
				o.AsOf = time.Time{}
			}
			require.Equal(t, stat, got)
			modified := stat.Modified
			stat.Modified = time.Time{}
			require.Equal(t, obj, stat)

			for listed, err := range s.List(t.Context(), "dir/same", "") {
				require.NoError(t, err)
				require.WithinDuration(t, modified, listed.Modified, time.Second) // listings may be more precise
				listed.Modified = time.Time{}
				require.Equal(t, backend.Object{Key: obj.Key, Size: obj.Size, ETag: obj.ETag}, listed)
			}
		}
	}},
	{name: "an object has a default content type", check: func(t *testing.T, s backend.Store) {
		require.Equal(t, "application/octet-stream", put(t, s, "dir/typeless", nil, backend.PutOptions{}).ContentType)
		o, err := s.Stat(t.Context(), "dir/typeless")
		require.NoError(t, err)
		require.Equal(t, "application/octet-stream", o.ContentType)
		require.Empty(t, o.Metadata)
	}},
	{name: "Put replaces all attributes", check: func(t *testing.T, s backend.Store) {
		old := put(t, s, "dir/replaced", []byte("old"), backend.PutOptions{ContentType: "text/old", Metadata: map[string]string{"old": "1"}})
		put(t, s, "dir/replaced", []byte("newer"), backend.PutOptions{Metadata: map[string]string{"new": "2"}})
		requireObject(t, s, "dir/replaced", []byte("newer"))
		o, err := s.Stat(t.Context(), "dir/replaced")
		require.NoError(t, err)
		require.NotEqual(t, old.ETag, o.ETag)
		require.Equal(t, "application/octet-stream", o.ContentType)
		require.Equal(t, map[string]string{"new": "2"}, o.Metadata)
	}},
	{name: "bytes with the announced SHA-256 are stored", once: true, check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{0, 1000, PartSize + 1000} {
			data := content("right", size)
			for name, body := range map[string]io.Reader{
				"rewindable": rewindable{bytes.NewReader(data)}, "stream": stream{t, bytes.NewReader(data)},
			} {
				_, err := s.Put(t.Context(), "dir/right", body, int64(size), backend.PutOptions{SHA256: sha(data)})
				require.NoError(t, err, "%s of %d bytes", name, size)
				requireObject(t, s, "dir/right", data)
			}
		}
	}},
	{name: "bytes with another SHA-256 are refused", once: true, check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{0, 1000, PartSize + 1000} {
			data := content("wrong", size)
			for name, body := range map[string]io.Reader{
				"rewindable": rewindable{bytes.NewReader(data)}, "stream": stream{t, bytes.NewReader(data)},
			} {
				_, err := s.Put(t.Context(), "dir/wrong", body, int64(size), backend.PutOptions{SHA256: sha([]byte("right"))})
				require.ErrorIs(t, err, backend.ErrChecksum, "%s of %d bytes", name, size)
				requireNothing(t, s, "dir/wrong")
			}
		}
		put(t, s, "dir/wrong", []byte("old"), backend.PutOptions{})
		_, err := s.Put(t.Context(), "dir/wrong", strings.NewReader("new"), 3, backend.PutOptions{SHA256: sha([]byte("other"))})
		require.ErrorIs(t, err, backend.ErrChecksum)
		requireObject(t, s, "dir/wrong", []byte("old"))
	}},
}
