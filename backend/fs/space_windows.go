package fs

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Free returns how many bytes the file system has left for the user.
func (s *Store) Free() (int64, error) {
	name, err := windows.UTF16PtrFromString(s.dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	return int64(free), nil
}
