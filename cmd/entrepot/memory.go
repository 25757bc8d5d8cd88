package main

import (
	"os"
	"runtime/debug"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror"
)

// baseMemory is the memory in bytes that the process needs in addition to segments, manifests and lists.
const baseMemory = 20 << 20

// commandMemory is the memory in bytes that a command of the operator should stay below. A cache of a million objects fits.
const commandMemory = 200 << 20

// limitCommandMemory is limitMemory for a command of the operator, which has no fills of its own or few.
func limitCommandMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(commandMemory)
	}
}

// limitMemory makes the garbage collector keep the process close to the limits of its fills and caches; by default the
// heap may grow to twice that. GOMEMLIMIT takes precedence.
func limitMemory(cfg config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		kept := int64(cfg.ManifestCache)
		debug.SetMemoryLimit(int64(cfg.FillMemory) + kept + mirror.Buffers(kept) + baseMemory)
	}
}

// shareOf returns the memory for manifests and lists that one upstream may hold while it sends them. A slow upstream leaves
// half of it to others.
func shareOf(memory *bounded.Budget, upstreams int) *bounded.Share {
	if upstreams == 1 {
		return memory.Share(memory.Size())
	}
	return memory.Share(memory.Size() / 2)
}
