package fs_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
)

func put(t *testing.T, s backend.Store, key, data string, o backend.PutOptions) backend.Object {
	t.Helper()
	obj, err := s.Put(t.Context(), key, strings.NewReader(data), int64(len(data)), o)
	require.NoError(t, err)
	return obj
}

func TestOpenFailsIfFolderCannotExist(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/entrepot", "/dev/null/store"} {
		_, err := fs.Open(dir)
		require.ErrorContains(t, err, "open file store: create folder", dir)
	}
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	was := put(t, open(t, dir), "k/e/y", "data", backend.PutOptions{ContentType: "text/plain"})
	is, err := open(t, dir).Stat(t.Context(), "k/e/y")
	require.NoError(t, err)
	was.AsOf, was.Modified = is.AsOf, is.Modified
	require.Equal(t, was, is)
}

func TestSymbolicLinksStayInFolder(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := open(t, dir)
	other := put(t, open(t, outside), "secret", "secret", backend.PutOptions{})
	part := put(t, s, "part", "part", backend.PutOptions{})
	require.NoError(t, os.Symlink(filepath.Join(outside, "objects"), filepath.Join(dir, "objects", "out")))
	up, err := filepath.Rel(filepath.Join(dir, "objects"), filepath.Join(outside, "objects", "secret"))
	require.NoError(t, err)
	require.NoError(t, os.Symlink(up, filepath.Join(dir, "objects", "link")))

	for _, key := range []string{"out/secret", "link"} {
		_, _, err := s.Get(t.Context(), key, backend.Range{})
		require.Error(t, err)
		_, err = s.Stat(t.Context(), key)
		require.Error(t, err)
		_, err = s.Compose(t.Context(), "copy", []backend.Object{{Key: key, Size: other.Size, ETag: other.ETag}}, backend.PutOptions{})
		require.Error(t, err)
	}
	_, err = s.Put(t.Context(), "out/new", strings.NewReader("x"), 1, backend.PutOptions{})
	require.Error(t, err)
	_, err = s.Compose(t.Context(), "out/new", []backend.Object{part}, backend.PutOptions{})
	require.Error(t, err)
	require.Error(t, s.Delete(t.Context(), "out/secret"))
	require.NoError(t, s.Delete(t.Context(), "link")) // deletes the link
	for o, err := range s.List(t.Context(), "", "") {
		require.NoError(t, err)
		require.Equal(t, "part", o.Key)
	}
	for _, err := range s.List(t.Context(), "out/", "") {
		require.Error(t, err)
	}
	entries, err := os.ReadDir(filepath.Join(outside, "objects"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	_, err = open(t, outside).Stat(t.Context(), "secret")
	require.NoError(t, err)
}

func TestLongSegmentIsInvalidKey(t *testing.T) {
	s := open(t, t.TempDir())
	for _, key := range []string{strings.Repeat("s", 256), "a/" + strings.Repeat("ü", 128) + "/b"} {
		_, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, backend.PutOptions{})
		require.ErrorIs(t, err, backend.ErrKey)
		_, err = s.Stat(t.Context(), key)
		require.ErrorIs(t, err, backend.ErrKey)
		require.ErrorIs(t, s.Delete(t.Context(), key), backend.ErrKey)
	}
	require.Empty(t, s.Leftovers(t, ""))
}

func TestKeyCannotBeAFolderToo(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a/b", "x", backend.PutOptions{})
	for _, o := range []backend.PutOptions{{}, {Condition: backend.Condition{IfAbsent: true}}} {
		for _, key := range []string{"a", "a/b/c"} {
			_, err := s.Put(t.Context(), key, strings.NewReader("y"), 1, o)
			require.Error(t, err)
			require.NotErrorIs(t, err, backend.ErrPrecondition, "there is no object")
		}
	}
}

func TestDeleteRemovesEmptyFolders(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "fills/1/0", "x", backend.PutOptions{})
	put(t, s, "fills/2/0", "x", backend.PutOptions{})
	require.NoError(t, s.Delete(t.Context(), "fills/1/0"))
	entries, err := os.ReadDir(filepath.Join(s.dir, "objects", "fills"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.NoError(t, s.Delete(t.Context(), "fills/2/0"))
	entries, err = os.ReadDir(filepath.Join(s.dir, "objects"))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestDeleteKeepsSymbolicLinks(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "real/other", "x", backend.PutOptions{})
	link := filepath.Join(s.dir, "objects", "link")
	require.NoError(t, os.Symlink("real", link))
	put(t, s, "link/a", "x", backend.PutOptions{})
	require.NoError(t, s.Delete(t.Context(), "link/a"))
	_, err := os.Lstat(link)
	require.NoError(t, err)
}

// One process may delete a folder while another puts an object into it.
func TestConcurrentPutAndDeleteInOneFolder(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := open(t, dir)
		for range 300 {
			if _, err := s.Put(t.Context(), "a/b/one", strings.NewReader("x"), 1, backend.PutOptions{}); err != nil {
				t.Error(err)
			}
			if err := s.Delete(t.Context(), "a/b/one"); err != nil {
				t.Error(err)
			}
		}
	}()
	s := open(t, dir)
	for range 300 {
		put(t, s, "a/b/two", "x", backend.PutOptions{})
		require.NoError(t, s.Delete(t.Context(), "a/b/two"))
	}
	<-done
}

func TestWaitForLockObeysContext(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a", "x", backend.PutOptions{})
	other, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Delete(ctx, "a"), context.DeadlineExceeded)
	_, err = s.Put(ctx, "a", strings.NewReader("y"), 1, backend.PutOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, other.Close())
	put(t, s, "a", "z", backend.PutOptions{})
}

func TestOpenKeepsFilesOfLiveWriters(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	leftover := filepath.Join(dir, "tmp", "leftover")
	require.NoError(t, os.WriteFile(leftover, []byte("of a dead writer"), 0o600))

	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := s.Put(t.Context(), "a", r, 4, backend.PutOptions{})
		done <- err
	}()
	_, err := w.Write([]byte("da"))
	require.NoError(t, err)
	require.Len(t, s.Leftovers(t, ""), 2)
	require.Len(t, open(t, dir).Leftovers(t, ""), 1)
	require.NoFileExists(t, leftover)
	_, err = w.Write([]byte("ta"))
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.Empty(t, s.Leftovers(t, ""))
}

func TestForeignFileIsAnErrorAndNotListed(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "good", strings.Repeat("data", 100), backend.PutOptions{})
	good, err := os.ReadFile(filepath.Join(s.dir, "objects", "good"))
	require.NoError(t, err)
	flipped := bytes.Clone(good)
	flipped[410] ^= 1 // in the trailer
	for name, data := range map[string][]byte{
		"empty": nil, "foreign": []byte("a file of another program, longer than a foot"), "cut": good[:len(good)-1],
		"damaged": flipped, "foot": good[len(good)-16:],
	} {
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "objects", name), data, 0o600))
		_, err := s.Stat(t.Context(), name)
		require.ErrorContains(t, err, "not an object of this store", name)
		require.NotErrorIs(t, err, backend.ErrNotFound, name)
	}
	for o, err := range s.List(t.Context(), "", "") {
		require.NoError(t, err)
		require.Equal(t, "good", o.Key)
	}
}

func TestLargeMetadata(t *testing.T) {
	s := open(t, t.TempDir())
	o := backend.PutOptions{Metadata: map[string]string{"large": strings.Repeat("m", 10_000)}}
	put(t, s, "a", "data", o)
	body, obj, err := s.Get(t.Context(), "a", backend.Range{})
	require.NoError(t, err)
	defer body.Close()
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, "data", string(data))
	require.Equal(t, o.Metadata, obj.Metadata)

	o.Metadata["large"] = strings.Repeat("m", 100_000)
	_, err = s.Put(t.Context(), "b", strings.NewReader("data"), 4, o)
	require.Error(t, err)
	require.Empty(t, s.Leftovers(t, ""))
}

func TestTruncatedFileIsAnError(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a", strings.Repeat("data", 1000), backend.PutOptions{})
	for name, read := range map[string]func(io.Reader) error{
		"read":  func(r io.Reader) error { _, err := io.ReadAll(r); return err },
		"write": func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
	} {
		put(t, s, "a", strings.Repeat("data", 1000), backend.PutOptions{})
		body, _, err := s.Get(t.Context(), "a", backend.Range{})
		require.NoError(t, err)
		require.NoError(t, os.Truncate(filepath.Join(s.dir, "objects", "a"), 100))
		require.ErrorIs(t, read(body), io.ErrUnexpectedEOF, name)
		require.NoError(t, body.Close())
	}
}

// net/http sends a limited *os.File by sendfile(2).
func TestGetSupportsSendfile(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a", "0123456789", backend.PutOptions{})
	body, _, err := s.Get(t.Context(), "a", backend.Range{Offset: 2, Length: 5})
	require.NoError(t, err)
	defer body.Close()
	w := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	n, err := io.Copy(http.ResponseWriter(w), body)
	require.NoError(t, err)
	require.EqualValues(t, 5, n)
	require.Equal(t, "23456", w.Body.String())
	limited, ok := w.from.(*io.LimitedReader)
	require.True(t, ok, "%T", w.from)
	require.IsType(t, (*os.File)(nil), limited.R)
}

type readerFrom struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (r *readerFrom) ReadFrom(from io.Reader) (int64, error) {
	r.from = from
	return io.Copy(r.ResponseRecorder, from)
}
