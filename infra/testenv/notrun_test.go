package testenv_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestNotRunIsRecorded(t *testing.T) {
	for name, strict := range map[string]string{"lenient": "", "strict": "1"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "not-run")
			t.Setenv("ENTREPOT_TEST_NOT_RUN", file)
			t.Setenv("ENTREPOT_TEST_STRICT", strict)
			skipped := recorder(t, func(t testing.TB) { testenv.NotRun(t, "only root may %s", "mount") })
			require.True(t, skipped.skipped)
			missing := recorder(t, func(t testing.TB) { testenv.Missing(t, "no such tool") })
			require.Equal(t, strict != "", missing.failed)
			require.Equal(t, strict == "", missing.skipped)
			want := "NOT RUN: " + t.Name() + ": only root may mount\n"
			if strict == "" {
				want += "NOT RUN: " + t.Name() + ": no such tool\n"
			}
			lines, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, want, string(lines))
		})
	}
}

// outcome is how a test has ended.
type outcome struct {
	testing.TB
	skipped, failed bool
}

func (o *outcome) Skip(...any)           { o.skipped = true }
func (o *outcome) Fatalf(string, ...any) { o.failed = true; panic(o) }

func recorder(t *testing.T, f func(testing.TB)) (o *outcome) {
	t.Helper()
	o = &outcome{TB: t}
	defer func() { _ = recover() }() // Fatalf ends f
	f(o)
	return o
}
