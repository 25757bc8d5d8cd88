package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMissingAbilitiesShownBeforeAnyPull(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		quirk   *quirk
		missing string
		effect  string
	}{
		"conditions are ignored": {&quirk{matches: conditional, respond: ignoring}, "conditional_writes", "every replica fetches cold content for itself"},
		"conditions are refused": {&quirk{matches: conditional, respond: refusing}, "conditional_writes", "every replica fetches cold content for itself"},
		"copies are refused":     {&quirk{matches: copying, respond: refusing}, "copies", "blobs of several segments pass through this process once more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			r := w.start(t, "ENTREPOT_STORE="+behindProxy(t, w, c.quirk))
			waitFor(t, "missing ability in the metrics", func() bool {
				return strings.Contains(r.metrics(t), `entrepot_store_ability{ability="`+c.missing+`"} 0`)
			})
			waitFor(t, "missing ability in /readyz", func() bool {
				status, said, _ := r.program.get(t, "/readyz")
				require.Equal(t, http.StatusOK, status)
				return strings.Contains(string(said), "ready, but "+c.missing+" is missing ("+c.effect+"): ")
			})

			var page struct {
				Ready   string
				Missing []struct{ Ability, Effect, Reason, Since string }
			}
			require.NoError(t, json.Unmarshal([]byte(r.adminPage(t, "/status")), &page))
			require.Len(t, page.Missing, 1)
			require.Equal(t, c.missing, page.Missing[0].Ability)
			require.NotEmpty(t, page.Missing[0].Reason)
			require.Contains(t, page.Ready, "yes, but "+c.missing)
		})
	}
}
