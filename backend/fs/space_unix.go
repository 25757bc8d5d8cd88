//go:build unix

package fs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes the file system has left for unprivileged users.
func (s *Store) Free() (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(s.dir, &stat); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:unconvert // the types differ between systems
}
