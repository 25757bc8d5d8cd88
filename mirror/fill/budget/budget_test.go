package budget_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
)

// segment is the memory of a usual segment.
var segment = budget.Need{Memory: 10, Slot: true}

func open(t *testing.T, b *budget.Budget, slots int) *budget.Account {
	t.Helper()
	a, err := b.Open(t.Context(), "upstream", slots)
	require.NoError(t, err)
	return a
}

func TestSlotAndMemoryAreGrantedTogether(t *testing.T) {
	b := budget.New(20, 10, true)
	a := open(t, b, 1)
	first, second := a.Hold(), a.Hold()
	require.True(t, first.Try(segment))
	require.False(t, second.Try(segment), "memory is free, but no slot")
	assert.Zero(t, second.Room())
	first.ReleaseSlot()
	assert.EqualValues(t, 10, first.Room())
	require.True(t, second.Try(segment))
	second.ReleaseSlot()
	third := a.Hold()
	require.False(t, third.Try(segment), "a slot is free, but no memory")
	assert.False(t, third.HasSlot())
	first.Release()
	second.Release()
	a.Close()
	require.NoError(t, b.Unbalanced())
}

func TestBrokenTransferGetsTheNextSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100, 10, true)
		a := open(t, b, 1)
		busy, begins, broken := a.Hold(), a.Hold(), a.Hold()
		require.True(t, busy.Try(segment))
		granted := make(chan string, 2)
		wait := func(name string, h *budget.Hold, n budget.Need) {
			go func() {
				assert.NoError(t, h.Wait(context.Background(), n))
				granted <- name
			}()
			synctest.Wait()
		}
		wait("begins", begins, segment)
		wait("broken", broken, budget.Need{Slot: true})
		busy.Release()
		require.Equal(t, "broken", <-granted)
		broken.Release()
		require.Equal(t, "begins", <-granted)
		begins.Release()
		a.Close()
		require.NoError(t, b.Unbalanced())
	})
}
