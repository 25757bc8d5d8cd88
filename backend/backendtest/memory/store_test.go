package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
)

// inspected is a store that keeps nothing except objects.
type inspected struct{ *memory.Store }

func (inspected) Leftovers(testing.TB, string) []string { return nil }

func TestStore(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Store { return inspected{&memory.Store{}} })
}

func TestTimesAreWholeSeconds(t *testing.T) {
	now := time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	s := &memory.Store{Now: func() time.Time { return now }}
	_, err := s.Put(t.Context(), "a", nil, 0, backend.PutOptions{})
	require.NoError(t, err)
	now = now.Add(time.Nanosecond)
	o, err := s.Stat(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), o.Modified)
	assert.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), o.AsOf)
}
