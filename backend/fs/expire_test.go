package fs_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

// rules resemble those for fills: single leases, and folders with a lease and segments.
var rules = []fs.Rule{
	{Prefix: "p/fills/", After: 24 * time.Hour},
	{Prefix: "p/fills/blobs/", After: 24 * time.Hour, Together: true},
}

// aged puts an object that looks as if it was written ago before now.
func aged(t *testing.T, s inspected, key string, ago time.Duration) {
	t.Helper()
	put(t, s, key, "x", backend.PutOptions{})
	age(t, s, key, ago)
}

// age makes an object look as if it was written ago before now. It uses the file system's clock, which a synctest bubble does
// not change.
func age(t *testing.T, s inspected, key string, ago time.Duration) {
	t.Helper()
	marker, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer marker.Close()
	info, err := marker.Stat()
	require.NoError(t, err)
	then := info.ModTime().Add(-ago)
	require.NoError(t, os.Chtimes(filepath.Join(s.dir, "objects", key), then, then))
}

// keys returns the keys of all objects.
func keys(t *testing.T, s inspected) []string {
	t.Helper()
	all := []string{}
	for o, err := range s.List(t.Context(), "", "") {
		require.NoError(t, err)
		all = append(all, o.Key)
	}
	return all
}

// logBuffer collects log output. It needs the lock: for the race detector a sleep in a bubble orders nothing.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newLog() (*slog.Logger, *logBuffer) {
	out := new(logBuffer)
	return slog.New(slog.NewTextHandler(out, nil)), out
}

func TestExpiredObjectsAreRemoved(t *testing.T) {
	for name, test := range map[string]struct{ old, young, left []string }{
		"nothing":                 {left: []string{}},
		"outside":                 {old: []string{"p/blobs/a", "p/fills2", "q/fills/tags/a"}, left: []string{"p/blobs/a", "p/fills2", "q/fills/tags/a"}},
		"single objects":          {old: []string{"p/fills/a", "p/fills/tags/x/y/a"}, young: []string{"p/fills/b", "p/fills/tags/x/y/b"}, left: []string{"p/fills/b", "p/fills/tags/x/y/b"}},
		"old folder":              {old: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/lease"}, left: []string{}},
		"folder beside another":   {old: []string{"p/fills/blobs/1/0"}, young: []string{"p/fills/blobs/2/0"}, left: []string{"p/fills/blobs/2/0"}},
		"folder with young lease": {old: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/1"}, young: []string{"p/fills/blobs/1/lease"}, left: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/1", "p/fills/blobs/1/lease"}},
		"folder with young segment": {old: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/lease"}, young: []string{"p/fills/blobs/1/1"},
			left: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/1", "p/fills/blobs/1/lease"}},
		"young deeper in the folder": {old: []string{"p/fills/blobs/1/0"}, young: []string{"p/fills/blobs/1/x/y"}, left: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/x/y"}},
		"old deeper in the folder":   {old: []string{"p/fills/blobs/1/0", "p/fills/blobs/1/x/y"}, left: []string{}},
		"object outside folders":     {old: []string{"p/fills/blobs/1"}, young: []string{"p/fills/blobs/2"}, left: []string{"p/fills/blobs/2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir())
				for _, key := range test.old {
					aged(t, s, key, 24*time.Hour+time.Minute)
				}
				for _, key := range test.young {
					aged(t, s, key, 24*time.Hour-time.Minute)
				}
				log, logged := newLog()
				s.Expire(log, rules...)
				synctest.Wait()
				require.Equal(t, test.left, keys(t, s))
				if removed := len(test.old) + len(test.young) - len(test.left); removed > 0 {
					require.Contains(t, logged.String(), `msg="expired objects removed" prefix=p/fills/`)
				} else {
					require.Empty(t, logged.String())
				}
				require.Empty(t, s.Leftovers(t, ""))
				require.NoError(t, s.Close())
				for _, key := range test.left { // it can still be written to
					put(t, s, key, "y", backend.PutOptions{})
				}
			})
		})
	}
}

func TestExpiryRunsEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		log, logged := newLog()
		s.Expire(log, rules...)
		synctest.Wait()
		aged(t, s, "p/fills/tags/a", 25*time.Hour)
		aged(t, s, "p/fills/blobs/1/lease", 25*time.Hour)
		draft := filepath.Join(s.dir, "tmp", "draft")
		require.NoError(t, os.WriteFile(draft, []byte("of a dead writer"), 0o600))
		trash := filepath.Join(s.dir, "tmp", "trash")
		require.NoError(t, os.MkdirAll(filepath.Join(trash, "deep"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(trash, "deep", "file"), []byte("of a dead sweep"), 0o600))
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		require.Len(t, keys(t, s), 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, keys(t, s))
		require.Empty(t, s.Leftovers(t, ""))
		require.NotContains(t, logged.String(), "WARN")
		require.NoError(t, s.Close())
		aged(t, s, "p/fills/tags/a", 25*time.Hour)
		time.Sleep(2 * time.Hour)
		require.Len(t, keys(t, s), 1, "after Close")
	})
}

func TestExpiryKeepsFilesOfLiveWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := s.Put(t.Context(), "p/fills/blobs/1/0", r, 4, backend.PutOptions{})
			done <- err
		}()
		_, err := w.Write([]byte("da"))
		require.NoError(t, err)
		log, _ := newLog()
		s.Expire(log, rules...)
		defer s.Close()
		synctest.Wait()
		require.Len(t, s.Leftovers(t, ""), 1)
		_, err = w.Write([]byte("ta"))
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.Len(t, keys(t, s), 1)
	})
}

// An abandoned fill may be taken over at the moment it expires.
func TestExpiryKeepsLeaseRenewedMeanwhile(t *testing.T) {
	for _, key := range []string{"p/fills/blobs/1/lease", "p/fills/tags/lease"} {
		t.Run(key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir())
				aged(t, s, key, 25*time.Hour)
				writer, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR, 0)
				require.NoError(t, err)
				defer writer.Close()
				require.NoError(t, syscall.Flock(int(writer.Fd()), syscall.LOCK_EX))
				log, logged := newLog()
				s.Expire(log, rules...)
				defer s.Close()
				synctest.Wait() // it waits for the writer
				age(t, s, key, 0)
				require.NoError(t, writer.Close())
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, []string{key}, keys(t, s))
				require.Empty(t, logged.String())
			})
		})
	}
}

func TestEmptyFoldersExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		put(t, s, "p/blobs/a", "x", backend.PutOptions{})
		for _, folder := range []string{"p/fills/blobs/1", "p/fills/tags/x/y", "p/fills/probe"} {
			require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "objects", folder), 0o755))
		}
		log, logged := newLog()
		s.Expire(log, rules...)
		defer s.Close()
		synctest.Wait()
		require.NoDirExists(t, filepath.Join(s.dir, "objects", "p", "fills"))
		require.Empty(t, logged.String())
		require.Len(t, keys(t, s), 1)
	})
}

func TestSeveralProcessesExpireObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		aged(t, s, "p/fills/tags/one", 25*time.Hour)
		// More than one batch of names. Links are faster than puts.
		for i := range 600 {
			for _, key := range []string{"p/fills/tags/%d", "p/fills/blobs/one/%d", "p/fills/blobs/%d/lease"} {
				name := filepath.Join(dir, "objects", fmt.Sprintf(key, i))
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				require.NoError(t, os.Link(filepath.Join(dir, "objects", "p", "fills", "tags", "one"), name))
			}
		}
		aged(t, s, "p/fills/tags/young", 0)
		log, logged := newLog()
		for range 3 {
			other := open(t, dir)
			other.Expire(log, rules...)
			defer other.Close()
		}
		synctest.Wait()
		time.Sleep(time.Hour) // the next run removes what each process left to the other
		synctest.Wait()
		require.Equal(t, []string{"p/fills/tags/young"}, keys(t, s))
		require.NotContains(t, logged.String(), "WARN")
		require.Empty(t, s.Leftovers(t, ""))
	})
}

func TestCloseEndsExpiryThatWaitsForLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		require.NoError(t, s.Close(), "Expire was not called")
		aged(t, s, "p/fills/tags/a", 25*time.Hour)
		writer, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR, 0)
		require.NoError(t, err)
		defer writer.Close()
		require.NoError(t, syscall.Flock(int(writer.Fd()), syscall.LOCK_EX))
		log, logged := newLog()
		s.Expire(log, rules...)
		synctest.Wait()
		require.NoError(t, s.Close())
		require.Empty(t, logged.String())
		require.Len(t, keys(t, s), 1)
	})
}

func TestExpiryOnFullDisk(t *testing.T) {
	for options, fill := range map[string]func(*testing.T, string){
		"size=1m":              func(t *testing.T, dir string) { fillUp(t, dir) },
		"size=1m,nr_inodes=30": func(t *testing.T, dir string) { takeInodes(t, dir, 0) },
	} {
		t.Run(options, func(t *testing.T) {
			dir := testenv.TmpFS(t, options)
			s := open(t, filepath.Join(dir, "store"))
			aged(t, s, "p/fills/tags/old", 25*time.Hour)
			aged(t, s, "p/fills/blobs/1/old", 25*time.Hour)
			fill(t, dir)
			log, _ := newLog()
			s.Expire(log, rules...)
			defer s.Close()
			require.Eventually(t, func() bool { return len(keys(t, s)) == 0 }, time.Minute, time.Millisecond)
		})
	}
}

func TestExpiryOnReadOnlyDisk(t *testing.T) {
	dir := testenv.TmpFS(t, "size=1m")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(dir, "store"))
		aged(t, s, "p/fills/tags/old", 25*time.Hour)
		testenv.Remount(t, dir, "ro")
		log, logged := newLog()
		s.Expire(log, rules...)
		defer s.Close()
		synctest.Wait()
		require.Len(t, keys(t, s), 1)
		require.Empty(t, logged.String())
		testenv.Remount(t, dir, "rw")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, keys(t, s))
	})
}
