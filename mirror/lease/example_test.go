package lease_test

import (
	"context"
	"fmt"
	"os"

	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// One replica holds the lease. After it releases the lease, another replica continues from its state.
func ExampleLeases() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "entrepot")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := fs.Open(dir)
	if err != nil {
		panic(err)
	}
	a := &lease.Leases[int]{Store: store}
	b := &lease.Leases[int]{Store: store}

	held, _, err := a.Acquire(ctx, "work/lease")
	fmt.Println("a holds the lease:", held != nil, err)
	other, _, err := b.Acquire(ctx, "work/lease")
	fmt.Println("b holds the lease:", other != nil, err)

	held.Set(42)
	fmt.Println("a releases the lease:", held.Release(ctx))

	held, _, err = b.Acquire(ctx, "work/lease")
	fmt.Println("b holds the lease:", held != nil, err)
	fmt.Println("b continues from", held.State(), "as holder", held.Turn())
	// Output:
	// a holds the lease: true <nil>
	// b holds the lease: false <nil>
	// a releases the lease: <nil>
	// b holds the lease: true <nil>
	// b continues from 42 as holder 2
}
