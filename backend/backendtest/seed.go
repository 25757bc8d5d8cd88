package backendtest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seed returns the seed in ENTREPOT_TEST_SEED, or a random one if the variable is not set, and logs it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("ENTREPOT_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ENTREPOT_TEST_SEED: %v", err)
		}
	}
	t.Logf("ENTREPOT_TEST_SEED=%d", seed)
	return seed
}
