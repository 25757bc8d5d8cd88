package backendtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Actions are all permissions that the credentials for a bucket need.
var Actions = []string{
	"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket", "s3:ListBucketMultipartUploads",
}

// Policy returns a policy that permits actions on a bucket and its objects.
func Policy(bucket string, actions []string) string {
	text, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect": "Allow", "Action": actions, "Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"},
		}},
	})
	if err != nil {
		panic(err) // it contains only strings
	}
	return string(text)
}

// Permissions checks that Actions are sufficient, and that a store names the missing one. The stores use the same part of a
// bucket: all has all permissions and must be an abandoner; open opens a store whose credentials have a policy. root is
// the prefix of keys in ARNs.
func Permissions(t *testing.T, all backend.Store, bucket, root string, open func(t *testing.T, policy string) backend.Store) {
	there := put(t, all, "dir/there", []byte("there"), backend.PutOptions{})
	calls := []struct {
		name  string
		needs []string
		on    string // the key; empty: the bucket
		call  func(t *testing.T, s backend.Store) error
	}{
		{"get", []string{"s3:GetObject"}, "dir/there", func(t *testing.T, s backend.Store) error {
			body, _, err := s.Get(t.Context(), "dir/there", backend.Range{})
			if err == nil {
				err = body.Close()
			}
			return err
		}},
		{"stat", []string{"s3:GetObject"}, "dir/there", func(t *testing.T, s backend.Store) error {
			_, err := s.Stat(t.Context(), "dir/there")
			return err
		}},
		{"put", []string{"s3:PutObject"}, "dir/key", func(t *testing.T, s backend.Store) error {
			_, err := s.Put(t.Context(), "dir/key", bytes.NewReader([]byte("x")), 1, backend.PutOptions{})
			return err
		}},
		{"put in parts", []string{"s3:PutObject"}, "dir/key", func(t *testing.T, s backend.Store) error {
			_, err := s.Put(t.Context(), "dir/key", bytes.NewReader(make([]byte, PartSize+1)), PartSize+1, backend.PutOptions{})
			return err
		}},
		{"compose", []string{"s3:PutObject"}, "dir/key", func(t *testing.T, s backend.Store) error {
			_, err := s.(backend.Composer).Compose(t.Context(), "dir/key", []backend.Object{there}, backend.PutOptions{})
			if missing, ok := errors.AsType[*backend.PermissionError](err); ok && missing.Action == "s3:GetObject" {
				err = nil // of the part, which the next case checks
			}
			return err
		}},
		{"compose of unreadable parts", []string{"s3:GetObject"}, "dir/there", func(t *testing.T, s backend.Store) error {
			_, err := s.(backend.Composer).Compose(t.Context(), "dir/key", []backend.Object{there}, backend.PutOptions{})
			if missing, ok := errors.AsType[*backend.PermissionError](err); ok && missing.Action == "s3:PutObject" {
				err = nil
			}
			return err
		}},
		{"compose that fails", []string{"s3:AbortMultipartUpload"}, "dir/key", func(t *testing.T, s backend.Store) error {
			changed := there
			changed.ETag = `"00000000000000000000000000000000"`
			_, err := s.(backend.Composer).Compose(t.Context(), "dir/key", []backend.Object{changed}, backend.PutOptions{})
			missing, ok := errors.AsType[*backend.PermissionError](err)
			if !ok || missing.Action != "s3:AbortMultipartUpload" {
				return nil
			}
			require.ErrorIs(t, err, backend.ErrPrecondition, "the reason for the abort")
			return err
		}},
		{"list", []string{"s3:ListBucket"}, "", func(t *testing.T, s backend.Store) error {
			for _, err := range s.List(t.Context(), "dir/", "") {
				return err
			}
			return nil
		}},
		{"sweep", []string{"s3:ListBucketMultipartUploads"}, "", func(t *testing.T, s backend.Store) error {
			return s.(backend.Sweeper).Sweep(t.Context(), "dir/none")
		}},
		{"sweep of an upload", []string{"s3:AbortMultipartUpload"}, "dir/abandoned", func(t *testing.T, s backend.Store) error {
			err := s.(backend.Sweeper).Sweep(t.Context(), "dir/abandoned")
			if missing, ok := errors.AsType[*backend.PermissionError](err); ok && missing.Action == "s3:ListBucketMultipartUploads" {
				err = nil
			}
			return err
		}},
		{"delete", []string{"s3:DeleteObject"}, "dir/key", func(t *testing.T, s backend.Store) error {
			return s.Delete(t.Context(), "dir/key")
		}},
	}
	for _, removed := range append([]string{"nothing"}, Actions...) {
		t.Run("without "+removed, func(t *testing.T) {
			all.(abandoner).Abandon(t, "dir/abandoned")
			put(t, all, "dir/key", []byte("x"), backend.PutOptions{})
			actions := slices.DeleteFunc(slices.Clone(Actions), func(a string) bool { return a == removed })
			s := open(t, Policy(bucket, actions))
			at, denied := s.(backend.Denier).LastDenied()
			require.NoError(t, denied)
			require.Zero(t, at)
			found := 0
			for _, c := range calls {
				err := c.call(t, s)
				if !slices.Contains(c.needs, removed) {
					require.NoError(t, err, c.name)
					continue
				}
				found++
				require.ErrorIs(t, err, backend.ErrDenied, c.name)
				missing, ok := errors.AsType[*backend.PermissionError](err)
				require.True(t, ok, "%s: %v", c.name, err)
				require.Equal(t, removed, missing.Action, c.name)
				want := "arn:aws:s3:::" + bucket
				if c.on != "" {
					want += "/" + root + c.on
				}
				require.Equal(t, want, missing.Resource, c.name)
				require.Contains(t, err.Error(), removed+" is not permitted on "+want, c.name)
				at, denied := s.(backend.Denier).LastDenied()
				require.ErrorContains(t, denied, removed, c.name)
				require.WithinDuration(t, time.Now(), at, time.Minute)
			}
			require.Equal(t, removed != "nothing", found > 0, "calls that need %s", removed)
		})
	}
}
