package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// source is where a layout is read.
type source interface {
	// open opens a file. Error: fs.ErrNotExist.
	open(ctx context.Context, name string) (io.ReadCloser, int64, error)
	io.Closer
}

func openSource(path string) (source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, err
		}
		return folderSource{root}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	entries, err := readEntries(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s is not a tar file: %w", path, err)
	}
	return tarSource{file, entries}, nil
}

// folderSource follows no links out of the folder.
type folderSource struct{ *os.Root }

func (s folderSource) open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	file, err := s.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", name)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// entry is the position of a file in a tar file.
type entry struct{ at, size int64 }

type tarSource struct {
	*os.File
	entries map[string]entry
}

// readEntries finds the files in a tar file.
func readEntries(file *os.File) (map[string]entry, error) {
	entries := map[string]entry{}
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		at, err := file.Seek(0, io.SeekCurrent) // the reader does not read ahead
		if err != nil {
			return nil, err
		}
		entries[strings.TrimPrefix(header.Name, "./")] = entry{at, header.Size}
	}
}

func (s tarSource) open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	e, ok := s.entries[name]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(s.File, e.at, e.size)), e.size, nil
}
