package handlers_test

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/handlers"
)

// hanging is a body that blocks until all others are read too.
type hanging struct {
	all   *sync.WaitGroup
	sizes chan<- int // of the read buffers
}

func (h hanging) Read(p []byte) (int, error) {
	h.all.Done()
	h.all.Wait()
	h.sizes <- len(p)
	return 0, io.EOF
}

func TestManyStreamsHaveSmallBuffers(t *testing.T) {
	const more = 10
	sizes := make(chan int, handlers.MaxStreamBuffers+more)
	var all, over sync.WaitGroup
	all.Add(cap(sizes))
	for range cap(sizes) {
		over.Go(func() {
			_, err := handlers.Stream(struct{ http.ResponseWriter }{}, hanging{&all, sizes})
			assert.NoError(t, err)
		})
	}
	over.Wait()
	close(sizes)
	counts := map[int]int{}
	for size := range sizes {
		counts[size]++
	}
	assert.Equal(t, map[int]int{128 << 10: handlers.MaxStreamBuffers, 16 << 10: more}, counts)
}
