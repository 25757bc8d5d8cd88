package archive

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror/intake"
)

// target is where a layout is written.
type target interface {
	// has reports whether a file with so many bytes is there.
	has(name string, size int64) bool
	// write writes a file whole, or nothing.
	write(name string, size int64, body io.Reader) error
	// finish makes the layout visible.
	finish() error
	// abandon removes what is not visible.
	abandon()
}

// openTarget opens a folder, or a file if the path ends in .tar.
func openTarget(path string) (target, error) {
	if strings.HasSuffix(path, ".tar") {
		return openTar(path)
	}
	return folder(path), os.MkdirAll(path, 0o777)
}

// folder writes a layout to a folder. Files appear by renaming.
type folder string

func (f folder) has(name string, size int64) bool {
	info, err := os.Stat(filepath.Join(string(f), name))
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

func (f folder) write(name string, _ int64, body io.Reader) (err error) {
	path := filepath.Join(string(f), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(f), ".partial-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = io.Copy(file, body)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (folder) finish() error { return nil }

func (f folder) abandon() {
	left, _ := filepath.Glob(filepath.Join(string(f), ".partial-*")) // the pattern is valid
	for _, name := range left {
		_ = os.Remove(name) // the next run does
	}
}

// tarFile writes a layout to a file beside the final one, which it becomes at last.
type tarFile struct {
	path string

	mu      sync.Mutex
	file    *os.File
	size    int64            // of the complete entries
	entries map[string]int64 // their sizes
}

func openTar(path string) (*tarFile, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-*")
	if err != nil {
		return nil, err
	}
	return &tarFile{path: path, file: file, entries: map[string]int64{}}, nil
}

func (t *tarFile) has(name string, size int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.entries[name]
	return ok && known == size
}

// write cuts off an entry that fails, so that the file stays valid.
func (t *tarFile) write(name string, size int64, body io.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := tar.NewWriter(t.file)
	err := entry.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = io.Copy(entry, body)
	}
	if err == nil {
		err = entry.Flush()
	}
	if err != nil {
		_, failed := t.file.Seek(t.size, io.SeekStart)
		return errors.Join(err, failed, t.file.Truncate(t.size))
	}
	t.entries[name] = size
	t.size, err = t.file.Seek(0, io.SeekCurrent)
	return err
}

func (t *tarFile) finish() error {
	err := tar.NewWriter(t.file).Close() // the end of the file
	if err == nil {
		err = t.file.Chmod(0o644)
	}
	if err = errors.Join(err, t.file.Close()); err != nil {
		return err
	}
	return os.Rename(t.file.Name(), t.path)
}

func (t *tarFile) abandon() {
	t.file.Close()
	_ = os.Remove(t.file.Name()) // the reason to abandon it is the error that counts
}

// blobName returns the name of content in a layout.
func blobName(d digest.Digest) string { return "blobs/" + string(d.Algorithm()) + "/" + d.Encoded() }

// obeying ends reads when ctx does.
type obeying struct {
	ctx context.Context
	io.Reader
}

func (o obeying) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.Reader.Read(p)
}

// verified returns the bytes of body, and fails before the last of them if they do not hash to d.
func verified(ctx context.Context, body io.Reader, d digest.Digest, size int64) io.Reader {
	return intake.NewReader(obeying{ctx, body}, d, size)
}
