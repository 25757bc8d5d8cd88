package s3rules_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

func TestSectionsOfSource(t *testing.T) {
	r := strings.NewReader("skip0123456789rest")
	_, err := r.Seek(4, io.SeekStart)
	require.NoError(t, err)
	src := s3rules.NewSource(r)
	for _, want := range []string{"01234", "56789"} {
		b, err := src.Next(5)
		require.NoError(t, err)
		require.NoError(t, iotest.TestReader(b.Reader(), []byte(want))) // also seeks
		_, err = b.Reader().(io.Seeker).Seek(0, io.SeekEnd)             // where the next section begins
		require.NoError(t, err)
		require.NoError(t, b.Finish())
	}
	require.Equal(t, 4, r.Len())
}

func TestSectionOfStreamCannotSeek(t *testing.T) {
	b, err := s3rules.NewSource(io.MultiReader(strings.NewReader("01234"))).Next(5)
	require.NoError(t, err)
	_, seeks := b.Reader().(io.Seeker)
	require.False(t, seeks)
	require.NoError(t, iotest.TestReader(b.Reader(), []byte("01234")))
	require.NoError(t, b.Finish())
}

func TestFinishEndsReads(t *testing.T) {
	r := strings.NewReader("01234")
	b, err := s3rules.NewSource(r).Next(5)
	require.NoError(t, err)
	_, err = io.ReadFull(b.Reader(), make([]byte, 2))
	require.NoError(t, err)
	require.NoError(t, b.Finish())
	_, err = b.Reader().Read(make([]byte, 1))
	require.Error(t, err)
	_, err = b.Reader().(io.Seeker).Seek(0, io.SeekStart)
	require.Error(t, err)
	require.Equal(t, 3, r.Len())
}

func TestOnlyLastAttemptReads(t *testing.T) {
	b, err := s3rules.NewSource(strings.NewReader("01234")).Next(5)
	require.NoError(t, err)
	first := b.Reader()
	_, err = io.ReadFull(first, make([]byte, 2))
	require.NoError(t, err)
	require.True(t, b.Again())
	_, err = first.Read(make([]byte, 1)) // a transport may still hold it
	require.Error(t, err)
	got, err := io.ReadAll(b.Reader())
	require.NoError(t, err)
	require.Equal(t, "01234", string(got))

	stream, err := s3rules.NewSource(io.MultiReader(strings.NewReader("01234"))).Next(5)
	require.NoError(t, err)
	require.True(t, stream.Again(), "nothing read yet")
	_, err = stream.Reader().Read(make([]byte, 1))
	require.NoError(t, err)
	require.False(t, stream.Again())
}

// Otherwise an SDK that retries would read the broken reader again, and report another error.
func TestFailedSectionCannotBeRewound(t *testing.T) {
	broken := errors.New("broken")
	for name, r := range map[string]io.Reader{
		"failing": &failing{*bytes.NewReader([]byte("0123")), broken},
		"short":   bytes.NewReader([]byte("0123")),
	} {
		b, err := s3rules.NewSource(r).Next(5)
		require.NoError(t, err)
		_, err = io.ReadAll(b.Reader())
		require.Error(t, err, name)
		_, seekErr := b.Reader().(io.Seeker).Seek(0, io.SeekStart)
		require.Equal(t, err, seekErr, name)
		require.Equal(t, err, b.Finish(), name)
	}
}

type failing struct {
	bytes.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.Len() == 0 {
		return 0, f.err
	}
	return f.Reader.Read(p)
}
