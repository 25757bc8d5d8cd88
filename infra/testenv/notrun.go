package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Missing ends a test that cannot run on this machine. It fails the test if ENTREPOT_TEST_STRICT is set, as the Makefile
// does, and skips it otherwise.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("ENTREPOT_TEST_STRICT") != "" {
		t.Fatalf("CANNOT RUN: "+format, args...)
	}
	NotRun(t, format, args...)
}

// NotRun skips a test that cannot run on this machine. go test hides skipped tests, so NotRun also appends a line to the
// file that ENTREPOT_TEST_NOT_RUN names. `make test` prints that file at its end.
func NotRun(t testing.TB, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	if path := os.Getenv("ENTREPOT_TEST_NOT_RUN"); path != "" {
		if err := appendLine(path, "NOT RUN: "+t.Name()+": "+reason); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip("NOT RUN: " + reason)
}

func appendLine(path, line string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
