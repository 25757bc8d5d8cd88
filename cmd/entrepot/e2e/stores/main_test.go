//go:build e2e

package stores_test

import (
	"os"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
