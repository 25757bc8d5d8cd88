package fs

import "os"

// OnSync makes the store call f with each file and folder before it syncs them.
func (s *Store) OnSync(f func(*os.File) error) {
	s.fsync = func(file *os.File) error {
		if err := f(file); err != nil {
			return err
		}
		return file.Sync()
	}
}

// Meaning exports meaning.
var Meaning = meaning

// LimitNames makes listings read large folders in parts of n names.
func LimitNames(n int) (undo func()) {
	was := maxNames
	maxNames = n
	return func() { maxNames = was }
}
