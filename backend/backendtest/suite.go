// Package backendtest contains the contract of package backend as a test suite that every store passes. Run is the main
// part. The other functions need stores or servers that are set up for them.
package backendtest

import (
	"testing"

	"github.com/entrepot-io/entrepot/backend"
)

// PartSize is the size in bytes from which stores under test must send objects in parts.
const PartSize = backend.MinPart

// inspector is implemented by all stores under test.
type inspector interface {
	// Leftovers returns the names of unfinished uploads or temporary files of writes to key.
	Leftovers(t testing.TB, key string) []string
}

// abandoner is implemented by stores under test that are a backend.Sweeper.
type abandoner interface {
	// Abandon begins a write to key and leaves it unfinished, like a process that dies.
	Abandon(t testing.TB, key string)
}

// promise is one claim of the contract.
type promise struct {
	name  string
	check func(t *testing.T, s backend.Store)
	alone bool // not in parallel, since it measures memory
	once  bool // sends streams, which no store can send again
}

// Run checks the contract on stores from open. Each store must be empty and have the method
//
//	Leftovers(t testing.TB, key string) []string // names of unfinished uploads or temporary files of writes to key
//
// and, if it is a backend.Sweeper,
//
//	Abandon(t testing.TB, key string) // begins a write to key and leaves it unfinished
//
// Run checks the optional abilities that a store has. Stores assert theirs in their own packages.
func Run(t *testing.T, open func(t *testing.T) backend.Store) {
	run(t, open, func(string, promise) bool { return true })
}

func run(t *testing.T, open func(t *testing.T) backend.Store, selects func(group string, p promise) bool) {
	for _, group := range []struct {
		name     string
		promises []promise
	}{
		{"keys", keyPromises},
		{"put", putPromises},
		{"bodies", bodyPromises},
		{"conditions", conditionPromises},
		{"get", getPromises},
		{"delete", deletePromises},
		{"list", listPromises},
		{"concurrency", concurrencyPromises},
		{"context", contextPromises},
		{"compose", composePromises},
		{"presign", presignPromises},
		{"sweep", sweepPromises},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, p := range group.promises {
				if !selects(group.name, p) {
					continue
				}
				t.Run(p.name, func(t *testing.T) {
					if !p.alone {
						t.Parallel()
					}
					s := open(t)
					if _, ok := s.(inspector); !ok {
						t.Fatalf("%T has no method Leftovers", s)
					}
					if has(s, group.name) {
						p.check(t, s)
					}
				})
			}
		})
	}
}

// has reports whether a store has the ability that a group checks.
func has(s backend.Store, group string) bool {
	ok := true
	switch group {
	case "compose":
		_, ok = s.(backend.Composer)
	case "presign":
		_, ok = s.(backend.Presigner)
	case "sweep":
		_, ok = s.(backend.Sweeper)
	}
	return ok
}
