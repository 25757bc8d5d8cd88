package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	keepDeleted = 30 * 24 * time.Hour
	staleMax    = 7 * 24 * time.Hour
)

// upstreamState is the state of an upstream when a client requests a tag.
type upstreamState struct {
	name   string
	rate   int  // the number of pulls that it allows; 0: no limit
	long   bool // it takes so much time that no tag is fresh
	change func(t *testing.T, w *freshWorld)
}

var upstreamStates = []upstreamState{
	{name: "has not changed it", change: func(*testing.T, *freshWorld) {}},
	{name: "has moved it", change: moved()},
	{name: "has moved it, and answers `HEAD` without a digest", change: moved(
		upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Header: http.Header{"Docker-Content-Digest": nil}})},
	{name: "has moved it, and answers `HEAD` with 405", change: moved(
		upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Status: http.StatusMethodNotAllowed})},
	{name: "has moved it, and allows hardly any more pulls", rate: 20, change: func(t *testing.T, w *freshWorld) {
		moved()(t, w)
		w.spend(t, 19)
	}},
	{name: "has deleted it (404)", change: func(_ *testing.T, w *freshWorld) { w.reg.Delete("library/app", "1") }},
	{name: "has deleted it longer ago than `ENTREPOT_KEEP_DELETED`", long: true, change: func(t *testing.T, w *freshWorld) {
		w.reg.Delete("library/app", "1")
		if w.warm {
			w.clock.Advance(time.Hour)
			w.replica(t).get(t, tagPath)
		}
		w.clock.Advance(keepDeleted + time.Minute)
	}},
	{name: "answers 401", change: answers(http.StatusUnauthorized)},
	{name: "answers 403", change: answers(http.StatusForbidden)},
	{name: "answers 408", change: answers(http.StatusRequestTimeout)},
	{name: "answers 429, `Retry-After: 7`", change: answers(http.StatusTooManyRequests)},
	{name: "answers 500", change: answers(http.StatusInternalServerError)},
	{name: "answers 503, `Retry-After: 7`", change: answers(http.StatusServiceUnavailable)},
	{name: "answers with an HTML page", change: func(_ *testing.T, w *freshWorld) {
		w.reg.Faults.Set(upstreamtest.Fault{HTML: true, Header: http.Header{"Docker-Content-Digest": nil}})
	}},
	{name: "hangs", change: func(_ *testing.T, w *freshWorld) { w.reg.Faults.Set(upstreamtest.Fault{Hang: true}) }},
	{name: "closes the connection", change: func(_ *testing.T, w *freshWorld) { w.reg.Faults.Set(upstreamtest.Fault{Drop: true}) }},
	{name: "refuses connections", change: func(_ *testing.T, w *freshWorld) { w.reg.Stop() }},
	{name: "fails the TLS handshake", change: func(_ *testing.T, w *freshWorld) { w.endpoint = "https://" + w.reg.Host() }},
	{name: "has a name that DNS does not know", change: func(_ *testing.T, w *freshWorld) { w.endpoint = "http://registry.invalid" }},
}

func moved(faults ...upstreamtest.Fault) func(*testing.T, *freshWorld) {
	return func(_ *testing.T, w *freshWorld) {
		w.latest = w.reg.Image("library/app", "1", 200)
		w.reg.Faults.Set(faults...)
	}
}

func answers(status int) func(*testing.T, *freshWorld) {
	return func(_ *testing.T, w *freshWorld) {
		fault := upstreamtest.Fault{Status: status}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			fault.Header = http.Header{"Retry-After": {"7"}}
		}
		w.reg.Faults.Set(fault)
	}
}

// cacheStates are ages of the tag's record when a client requests it. Below 0 there is no record.
var cacheStates = []struct {
	name string
	age  time.Duration
}{
	{"was never requested", -1},
	{"is younger than `ENTREPOT_TAG_TTL`", time.Second},
	{"is older", time.Hour},
	{"is older than `ENTREPOT_STALE_MAX`", staleMax + time.Hour},
}

const tagPath = "/v2/app/manifests/1"

// freshWorld is an upstream and a bucket for replicas.
type freshWorld struct {
	reg      *upstreamtest.Registry
	endpoint string
	first    upstreamtest.Image
	latest   upstreamtest.Image
	store    backend.Store
	clock    *testenv.Clock
	warm     bool // the tag was requested before
}

func (w *freshWorld) replica(t *testing.T) front {
	t.Helper()
	base, err := url.Parse(w.endpoint)
	require.NoError(t, err)
	return serveWith(t, base, w.store, "", mirror.Config{
		Now: w.clock.Now, KeepDeleted: keepDeleted, StaleMax: staleMax, NegativeTTL: 10 * time.Second,
	})
}

// spend sends pulls to the upstream until it has counted this many. The replicas do not see them.
func (w *freshWorld) spend(t *testing.T, pulls int) {
	t.Helper()
	for range pulls - w.reg.Counts().Requests[upstreamtest.ManifestGet] {
		resp, err := http.Get(w.reg.URL() + "/v2/library/app/manifests/1")
		require.NoError(t, err)
		resp.Body.Close()
	}
}

// ask requests the tag from a new replica. It describes the response and the upstream's requests in the words of the table.
func (w *freshWorld) ask(t *testing.T) string {
	t.Helper()
	replica := w.replica(t)
	w.reg.ResetCounts()
	a := replica.get(t, tagPath)
	said := []string{w.says(t, a)}
	asked := w.reg.Counts().Requests
	for _, kind := range []upstreamtest.Kind{upstreamtest.ManifestHead, upstreamtest.ManifestGet} {
		if asked[kind] > 0 {
			method := strings.Fields(string(kind))[1]
			said = append(said, fmt.Sprintf("%d `%s`", asked[kind], method))
		}
	}
	return strings.Join(said, ", ")
}

// says describes a response in the words of the table.
func (w *freshWorld) says(t *testing.T, a answer) string {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		return a.problem(t)
	}
	said := "as it was"
	if string(a.body) == string(w.latest.Body) && w.latest.Digest != w.first.Digest {
		said = "as it is"
	} else {
		require.Equal(t, string(w.first.Body), string(a.body))
	}
	for _, warning := range a.Header.Values("Warning") {
		said += ", `" + warning[:3] + "`"
		require.NotEmpty(t, a.Header.Get("Age"))
	}
	return said
}

// problem describes an error in the words of the tables.
func (a answer) problem(t *testing.T) string {
	t.Helper()
	said := fmt.Sprintf("%d %s", a.StatusCode, a.code(t))
	for _, header := range []string{"Retry-After", "Allow"} {
		if value := a.Header.Get(header); value != "" {
			said += fmt.Sprintf(", `%s: %s`", header, value)
		}
	}
	return said
}

func TestFreshnessTableMatchesBehavior(t *testing.T) {
	t.Parallel()
	cells := make([][]string, len(upstreamStates))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for row, state := range upstreamStates {
		cells[row] = make([]string, len(cacheStates))
		for column, cached := range cacheStates {
			if state.long && cached.age >= 0 && cached.age < time.Minute {
				cells[row][column] = "-"
				continue
			}
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(state.name+"/"+cached.name, func(t *testing.T) {
					clock := testenv.NewClock()
					w := &freshWorld{
						reg:   upstreamtest.Start(t, upstreamtest.Options{RateLimit: state.rate}),
						store: &memory.Store{Now: clock.Now}, clock: clock, warm: cached.age >= 0,
					}
					w.endpoint = w.reg.URL()
					w.first = w.reg.Image("library/app", "1", 100)
					w.latest = w.first
					if w.warm {
						require.Equal(t, http.StatusOK, w.replica(t).get(t, tagPath).StatusCode)
					}
					state.change(t, w)
					w.clock.Advance(cached.age)
					cells[row][column] = w.ask(t)
				})
			})
		}
	}
	wg.Wait()
	rows := [][]string{{"the upstream"}}
	for _, cached := range cacheStates {
		rows[0] = append(rows[0], "the tag "+cached.name)
	}
	for row, state := range upstreamStates {
		rows = append(rows, append([]string{state.name}, cells[row]...))
	}
	checkTable(t, "docs/freshness.md", "table", rows)
}
