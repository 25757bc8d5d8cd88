package fs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// After a power cut the object of a completed Put or Compose must exist. So its bytes are synced before it gets its name, and
// then the folder with the name and all new folders above it.
func TestObjectSurvivesPowerCut(t *testing.T) {
	for name, test := range map[string]struct {
		key       string
		condition func(old backend.Object) backend.Condition
		compose   bool
		folders   []string
	}{
		"in new folders":           {key: "x/y/new", folders: []string{"objects/x/y", "objects/x", "objects"}},
		"in a folder with objects": {key: "a/new", folders: []string{"objects/a"}},
		"at the top":               {key: "new", folders: []string{"objects"}},
		"replaced":                 {key: "a/old", folders: []string{"objects/a"}},
		"if absent": {key: "a/new", folders: []string{"objects/a"}, condition: func(backend.Object) backend.Condition {
			return backend.Condition{IfAbsent: true}
		}},
		"if absent, in a new folder": {key: "x/new", folders: []string{"objects/x", "objects"}, condition: func(backend.Object) backend.Condition {
			return backend.Condition{IfAbsent: true}
		}},
		"over a version": {key: "a/old", folders: []string{"objects/a"}, condition: func(old backend.Object) backend.Condition {
			return backend.Condition{IfMatch: old.ETag}
		}},
		"composed": {key: "a/new", folders: []string{"objects/a"}, compose: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			old := put(t, s, "a/old", "old", backend.PutOptions{})
			object := filepath.Join(s.dir, "objects", test.key)
			before, _ := os.Stat(object) // nil if there is none
			var o backend.PutOptions
			if test.condition != nil {
				o.Condition = test.condition(old)
			}
			var drafts int
			var folders []string
			s.OnSync(func(f *os.File) error {
				synced, err := f.Stat()
				require.NoError(t, err)
				found, err := os.Stat(object)
				if !synced.IsDir() {
					drafts++
					require.Equal(t, before == nil, err != nil, "object got its name before its bytes were synced")
					require.True(t, before == nil || os.SameFile(before, found), "object was replaced before its bytes were synced")
					return nil
				}
				require.NoError(t, err, "folder was synced before the object got its name")
				require.False(t, before != nil && os.SameFile(before, found), "folder was synced before the object was replaced")
				for _, folder := range append(test.folders, ".") {
					if info, err := os.Stat(filepath.Join(s.dir, folder)); err == nil && os.SameFile(info, synced) {
						folders = append(folders, folder)
					}
				}
				return nil
			})
			var err error
			if test.compose {
				_, err = s.Compose(t.Context(), test.key, []backend.Object{old}, o)
			} else {
				_, err = s.Put(t.Context(), test.key, strings.NewReader("new"), 3, o)
			}
			require.NoError(t, err)
			require.Equal(t, 1, drafts, "files synced")
			require.Equal(t, test.folders, folders)
		})
	}
}

func TestFailedSyncFailsPut(t *testing.T) {
	for name, isFolder := range map[string]bool{"bytes": false, "folder": true} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			broken := errors.New("broken disk")
			s.OnSync(func(f *os.File) error {
				if info, err := f.Stat(); err != nil || info.IsDir() != isFolder {
					return err
				}
				return broken
			})
			_, err := s.Put(t.Context(), "a", strings.NewReader("x"), 1, backend.PutOptions{})
			require.ErrorIs(t, err, broken)
			require.Empty(t, s.Leftovers(t, ""))
		})
	}
}
