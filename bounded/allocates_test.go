//go:build !race

package bounded_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/bounded"
)

// The test runs without the race detector, which randomly empties sync.Pool.

// hostile are documents of 8 MB that would take many times as much memory if decoded whole.
var hostile = map[string]string{
	"many elements":   `{"layers":[` + strings.Repeat("{},", 2_800_000) + `{}]}`,
	"many fields":     "{" + strings.Repeat(`"a1":1,`, 1_100_000) + `"a":1}`,
	"repeated field":  "{" + strings.Repeat(`"layers":[{}],`, 600_000) + `"a":1}`,
	"long name":       `{"` + strings.Repeat("x", 8<<20) + `":1}`,
	"long string":     `{"layers":"` + strings.Repeat("x", 8<<20) + `"}`,
	"escapes":         `{"layers":"` + strings.Repeat(`\u0001`, 1_400_000) + `"}`,
	"invalid UTF-8":   `{"layers":["` + strings.Repeat("\xff", 8<<20) + `"]}`,
	"deep objects":    strings.Repeat(`{"a":`, 1_600_000),
	"deep arrays":     `{"layers":` + strings.Repeat("[", 8<<20),
	"deep long names": strings.Repeat(`{"`+strings.Repeat("x", 1000)+`":`, 8000),
	"invalid at end":  `{"` + strings.Repeat("x", 8<<20) + `":rubbish`,
}

func TestWalkAllocatesLittle(t *testing.T) {
	for name, document := range hostile {
		t.Run(name, func(t *testing.T) {
			data := []byte(document)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			elements := 0
			if document, err := bounded.Parse(data); err == nil { // some documents are not JSON
				_ = document.Fields(func(name string, value bounded.JSON) error {
					if name == "layers" {
						_ = value.Elements(func(value bounded.JSON) error { // some values are not arrays
							value.Text(100)
							elements++
							return nil
						})
					}
					return nil
				})
			}
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes, %d elements: %d bytes allocated", len(data), elements, allocated)
			assert.Less(t, allocated, uint64(len(data)))
		})
	}
}
