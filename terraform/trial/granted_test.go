//go:build e2e

package trial_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// granted is the policy and the lifecycle rules of a module.
type granted struct {
	Bucket string // bucket in the policy
	Policy json.RawMessage
	Rules  []rule
}

type rule struct {
	ID, Prefix, Days, Aborts string
}

// modules reads the policies and rules that terraform/check wrote, by module.
func modules(t *testing.T) map[string]granted {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), ".tools", "terraform", "granted.json"))
	require.NoError(t, err, "run make infra-check-terraform")
	var all map[string]granted
	require.NoError(t, json.Unmarshal(text, &all))
	require.Contains(t, all, "bucket-s3")
	require.Contains(t, all, "minio")
	return all
}

// on returns the policy for another bucket.
func (g granted) on(bucket string) string {
	return strings.ReplaceAll(string(g.Policy), "arn:aws:s3:::"+g.Bucket, "arn:aws:s3:::"+bucket)
}
