//go:build !race

package handlers_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// With the race detector, sync.Pool drops some items on purpose. make test therefore runs this test without it.
func TestHotHitAllocatesLittle(t *testing.T) {
	h := newHot(t)
	least := testing.AllocsPerRun(1000, hot{Handler: bare()}.serve(t, "GET", h.path["blob"], 307))
	asked := h.reg.Counts().Requests
	redirect := testing.AllocsPerRun(1000, h.serve(t, "GET", h.path["blob"], 307))
	t.Logf("a redirect: %.0f allocations; echo with a constant one: %.0f", redirect, least)
	assert.LessOrEqual(t, redirect, least+4)
	assert.Equal(t, asked, h.reg.Counts().Requests)
}
