package mirror_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

func TestLatecomersWaitOnlyForTheRest(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		r := bubbled(t, new(memory.Store), o, mirror.Config{})
		r.mustGet(t, "app", "1")
		time.Sleep(2 * time.Minute)
		o.set(func(o *origin) { o.delay = time.Hour })
		began := time.Now()
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, 2 * time.Second, 2900 * time.Millisecond} {
			wg.Go(func() {
				time.Sleep(after)
				assert.Error(t, r.mustGet(t, "app", "1").Stale)
				assert.Equal(t, 3*time.Second, time.Since(began))
			})
		}
		wg.Wait()
	})
}

func TestNextQuestionHasTheWholeBudget(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		r := bubbled(t, new(memory.Store), o, mirror.Config{TagTTL: time.Nanosecond})
		r.mustGet(t, "app", "1")
		burst := func() {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					for range 5 { // some requests arrive just before a question ends
						assert.NoError(t, r.mustGet(t, "app", "1").Stale)
					}
				})
			}
			wg.Wait()
		}
		const bursts = 40
		for range bursts {
			burst()
			time.Sleep(5 * time.Second)
			o.set(func(o *origin) { o.delay = time.Millisecond })
			assert.NoError(t, r.mustGet(t, "app", "1").Stale, "this question has its own budget")
			o.set(func(o *origin) { o.delay = 0 })
		}
		assert.Less(t, o.count(http.MethodHead), bursts*500)
	})
}
