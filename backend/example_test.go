package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
)

// openFolder returns a store in a new folder, and a function that removes the folder.
func openFolder() (backend.Store, func()) {
	dir, err := os.MkdirTemp("", "entrepot")
	if err != nil {
		panic(err)
	}
	store, err := fs.Open(dir)
	if err != nil {
		panic(err)
	}
	return store, func() { os.RemoveAll(dir) }
}

func ExampleStore() {
	ctx := context.Background()
	store, remove := openFolder()
	defer remove()

	text := "hello, world"
	if _, err := store.Put(ctx, "docs/hello", strings.NewReader(text), int64(len(text)), backend.PutOptions{}); err != nil {
		panic(err)
	}
	body, object, err := store.Get(ctx, "docs/hello", backend.Range{Offset: 7})
	if err != nil {
		panic(err)
	}
	defer body.Close()
	part, err := io.ReadAll(body)
	fmt.Printf("%q of %d bytes, error %v\n", part, object.Size, err)

	for object, err := range store.List(ctx, "docs/", "") {
		fmt.Println(object.Key, err)
	}
	// Output:
	// "world" of 12 bytes, error <nil>
	// docs/hello <nil>
}

// A write with IfAbsent succeeds for one of several replicas.
func ExampleCondition() {
	ctx := context.Background()
	store, remove := openFolder()
	defer remove()

	claim := func(replica string) error {
		_, err := store.Put(ctx, "leader", strings.NewReader(replica), int64(len(replica)), backend.PutOptions{
			Condition: backend.Condition{IfAbsent: true},
		})
		return err
	}
	fmt.Println("first:", claim("a"))
	fmt.Println("second fails:", errors.Is(claim("b"), backend.ErrPrecondition))
	// Output:
	// first: <nil>
	// second fails: true
}
